"""The command `python -m perf.report`."""

from perf.report.page import main

if __name__ == "__main__":
    main()
