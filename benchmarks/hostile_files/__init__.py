"""Parses hostile files with the product's parser, next to a canary file, a canary server and a canary process."""
