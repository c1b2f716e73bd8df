"""Programs for working on BCCE; none of them is installed with it."""
