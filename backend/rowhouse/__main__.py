"""Runs the command line: `python -m rowhouse`."""

from rowhouse.cli.main import main

if __name__ == "__main__":
    main()
