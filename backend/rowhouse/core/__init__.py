"""Settings, errors, security, the clock and logging, for every other package. Imports no other package."""
