"""Measure `/admin` in a browser: `python -m perf.admin_pages`. The program is `perf.app.micro.admin_pages`."""

from perf.product import run

if __name__ == "__main__":
    run("micro.admin_pages")
