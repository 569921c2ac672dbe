"""Compare Rowhouse with other frameworks on the same bookshop: `python -m perf.bench`."""
