"""The command `rowhouse`."""
