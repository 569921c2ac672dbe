"""`/health` and `/ready`: whether the process can serve, and how it stops."""
