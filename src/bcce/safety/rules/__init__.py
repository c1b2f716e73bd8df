"""Rules, one folder per shell."""
