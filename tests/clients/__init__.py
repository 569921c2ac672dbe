"""Tests of the OpenAPI document and of clients that are generated from it, in TypeScript and Python."""
