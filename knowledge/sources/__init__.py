"""Where documents come from: files, folders, web pages, sites, sitemaps and git repositories. ``opening`` opens one."""
