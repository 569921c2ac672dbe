"""Run the CRUD profile of HttpArena: `python -m perf.arena`. The program is `perf.app.arena.command`."""

from perf.product import run

if __name__ == "__main__":
    run("arena.command")
