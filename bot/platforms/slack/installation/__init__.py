"""Installs the app in workspaces: manifest, OAuth flow, stored tokens and their renewal."""
