"""0005 gives the refresh tokens that there are the version of their account, so that an upgrade signs nobody out."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import command

from tests.migrations.test_chain import config_for, up

THEN = datetime(2030, 1, 1, tzinfo=UTC)
TIMES = {"created_at": THEN, "updated_at": THEN}


def tables(connection: sa.Connection) -> sa.MetaData:
    """The tables as they stand."""
    found = sa.MetaData()
    found.reflect(connection)
    return found


def test_the_sessions_that_there_are_go_on(empty: sa.Connection) -> None:
    """Each token has its own account's version; down again they are as they were."""
    command.upgrade(config_for(empty), "0004")
    empty.commit()
    before = tables(empty).tables
    for number, version in ((1, 0), (2, 7)):
        user = {"email": f"{number}@example.com", "full_name": "x", "role": "user", "is_active": True}
        secrets = {"hashed_password": "x", "token_version": version}
        empty.execute(before["users"].insert().values(id=number, **user, **secrets, **TIMES))
        token = {"user_id": number, "fingerprint": f"token {number}", "expires_at": THEN}
        family = sa.literal("0" * 31 + str(number)).cast(before["refresh_tokens"].c.family.type)
        empty.execute(before["refresh_tokens"].insert().values(**token, **TIMES, family=family))
    rows = empty.execute(before["refresh_tokens"].select()).mappings().all()
    empty.commit()
    up(empty)
    upgraded = empty.execute(sa.text("SELECT user_id, token_version FROM refresh_tokens ORDER BY id")).all()
    assert upgraded == [(1, 0), (2, 7)]
    empty.commit()
    command.downgrade(config_for(empty), "0004")
    assert empty.execute(before["refresh_tokens"].select()).mappings().all() == rows
