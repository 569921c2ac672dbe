"""The same bookshop in other frameworks, each written as its own documentation teaches and never improved."""
