"""Artifacts: what steps leave that is too large for the journal, stored once by digest, linked to the attempt that made it."""
