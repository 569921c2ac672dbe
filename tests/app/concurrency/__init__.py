"""The product under concurrent requests: real server processes, one database, many clients."""
