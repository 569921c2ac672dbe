"""Rowhouse among the servers that it meets in production: other PostgreSQLs, poolers, proxies, standbys, Redis."""
