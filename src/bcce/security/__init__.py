"""Who acts, what they may do, how they prove it, and what is remembered of it."""
