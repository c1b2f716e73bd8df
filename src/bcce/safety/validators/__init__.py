"""Validators that come with BCCE, one per shell."""
