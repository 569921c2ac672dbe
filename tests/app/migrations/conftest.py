"""The databases of `tests.migrations`, for the product's migrations."""

from tests.migrations.conftest import empty, make_chain, migrated, migrated_url, street

__all__ = ["empty", "make_chain", "migrated", "migrated_url", "street"]  # fixtures
