"""Which people wanted what a run does, besides the one who started it."""
