"""Make the pictures of README: `python -m perf.pictures`. The program is `perf.app.pictures`."""

from perf.product import run

if __name__ == "__main__":
    run("pictures")
