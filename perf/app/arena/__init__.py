"""The CRUD profile of HttpArena: two applications that keep its rules, measured by `perf.arena`."""
