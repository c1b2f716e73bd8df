"""The built-in alert providers, one monitor per module."""
