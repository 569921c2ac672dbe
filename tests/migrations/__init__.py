"""The migrations: there and back, equal to the classes, and the rules that only the database can hold."""
