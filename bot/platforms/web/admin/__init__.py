"""The admin page: tables and charts that the server renders, readable without scripts."""
