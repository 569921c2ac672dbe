"""What happens at once: real server processes, one database, many clients."""
