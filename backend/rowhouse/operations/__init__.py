"""The generated operations: from a request to a response."""
