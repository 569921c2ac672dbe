"""Accounts: sign-up, login, sessions and the callers behind requests."""
