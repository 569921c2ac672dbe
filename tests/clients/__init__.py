"""Clients that are generated from the OpenAPI document: TypeScript and Python, compiled, type-checked and used."""
