"""Worker threads: the pool, and how a request runs in one of them with one connection."""
