"""Tests of concurrent requests: real server processes, one database, many clients."""
