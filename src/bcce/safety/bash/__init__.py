"""Bash as data: from text to commands with their arguments, redirects and places in pipelines."""
