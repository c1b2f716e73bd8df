"""Ticket books that come with BCCE, one per file."""
