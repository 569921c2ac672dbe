"""What every other package uses: settings, errors, security, the clock and logging. Imports no other package."""
