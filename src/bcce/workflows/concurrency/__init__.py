"""Groups of runs of which only some may be active at a time: who waits, who is next, whom a newer run cancels."""
