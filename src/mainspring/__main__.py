"""Run the command line with ``python -m mainspring``."""

from mainspring.cli.main import main

if __name__ == "__main__":
    main()
