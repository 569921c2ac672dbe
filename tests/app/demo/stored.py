"""A database that holds the demo, for `databases.prepared`: stored once and then copied, with cheap hashes."""

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
