"""Compare two revisions of Rowhouse: `scripts/perf-compare BASE`. The program is `perf.app.compare.revisions`."""

from perf.product import run

if __name__ == "__main__":
    run("compare.revisions")
