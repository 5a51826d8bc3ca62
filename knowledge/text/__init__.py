"""Words, sentences and forms of words in any script and language. Does no I/O."""
