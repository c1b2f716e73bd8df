"""Planners that come with BCCE, one per file."""
