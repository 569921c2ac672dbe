"""Accounts: sign-up, login, sessions and the caller of a request."""
