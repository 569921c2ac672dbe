"""What the generic API gives beyond the verbs: cursors, versions, keys that make a request safe to repeat."""
