"""``python -m billsmith`` is the command line."""

from billsmith.cli import main

if __name__ == "__main__":
    main()
