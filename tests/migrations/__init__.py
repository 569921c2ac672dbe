"""Tests of migrations: up and down, equal to the classes, and rules that only the database can enforce."""
