"""Compare Rowhouse with other frameworks: `python -m perf.bench`. The program is `perf.app.compare.bench`."""

from perf.product import run

if __name__ == "__main__":
    run("compare.bench")
