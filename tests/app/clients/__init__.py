"""Clients generated from the documents, and a day with the product."""
