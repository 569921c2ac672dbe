"""Start and measure servers: processes, clients and meters. Knows no application."""
