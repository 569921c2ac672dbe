"""Commands that read a project and change nothing: `rowhouse routes` and `rowhouse check`."""
