"""`python -m bcce` is the command `bcce`."""

from bcce.cli import main

if __name__ == "__main__":
    main()
