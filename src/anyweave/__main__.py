"""`python -m anyweave`: the command line, if its script is not on the path."""

from anyweave.cli import main

if __name__ == "__main__":
    main()
