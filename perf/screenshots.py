"""Make the pictures of README: `python -m perf.screenshots`. The program is `perf.app.screenshots`."""

from perf.product import run

if __name__ == "__main__":
    run("screenshots")
