"""Classes as SQLModel's documentation writes them, with keys of every kind."""

APP = "tests.sample_entities.keys.main:create_app"
