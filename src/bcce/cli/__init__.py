"""The command line: thin commands, one file per noun. Importing this costs next to nothing, so that `--help` is quick."""

from bcce.cli.main import main

__all__ = ["main"]
