"""The slash commands, one file each, free of any platform: arguments in, a reply out. ``registry`` has them all."""
