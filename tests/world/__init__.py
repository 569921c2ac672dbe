"""Tests with the servers of a production environment: other PostgreSQL versions, poolers, proxies, standbys, Redis."""
