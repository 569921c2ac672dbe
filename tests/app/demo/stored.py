"""Stores the demo in a database for `databases.prepared`: once, with cheap hashes; tests get copies."""

import pytest
import sqlalchemy as sa

from app.demo.seed import seed
from rowhouse.core.settings import Settings
from tests.conftest import QUIET, migrate
from tests.fast_hashing import cheapen


def store_the_demo(connection: sa.Connection) -> None:
    """Migrate a database and store the demo in it."""
    migrate(connection)
    connection.commit()
    url = connection.engine.url.render_as_string(hide_password=False)
    with pytest.MonkeyPatch.context() as patch:
        cheapen(patch)
        assert seed(Settings(database_url=url, **QUIET))
