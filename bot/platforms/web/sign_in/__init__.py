"""Signs people in to the web part: with a token, with OpenID Connect, or by the header of a trusted proxy."""
