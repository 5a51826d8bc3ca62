"""Parses e-mails and mailboxes: headers, the sender's words, quotes and attachments."""
