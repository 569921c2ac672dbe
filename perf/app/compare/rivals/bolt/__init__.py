"""The bookshop in django-bolt: Django's models behind a server in Rust."""
