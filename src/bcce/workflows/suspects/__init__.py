"""Runs whose worker died: who may have killed it, and how each of them is tried again without harm to the others."""
