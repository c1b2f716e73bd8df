"""Logs of runs: what steps say, stored with their ends, between what the engine's events tell of them."""
