"""How hard a question is: what can be seen in its words, and a small model of what that means. Pure."""
