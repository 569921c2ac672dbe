"""Compile SQL: statements for each verb, pages of lists, and totals."""
