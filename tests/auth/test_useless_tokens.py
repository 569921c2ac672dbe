"""Each login and refresh deletes a limited number of expired refresh tokens. Tokens that show a theft stay."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from rowhouse.auth.models import RefreshToken
from rowhouse.auth.service import REMOVED_AT_ONCE
from rowhouse.core.clock import now, set_clock
from rowhouse.db.unit_of_work import UnitOfWork
from tests.auth.conftest import Account, log_in, make_account, refresh
from tests.conftest import small_registry

DAYS = 7
_tokens: sa.Table = RefreshToken.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes


@pytest.fixture
def fresh(backend: str, make_app: Callable[..., TestClient]) -> Account:
    """The only account of an application. Its tokens live 7 days."""
    return make_account(make_app(backend, small_registry(), refresh_token_days=DAYS))


def unit_of(account: Account) -> UnitOfWork:
    """Open a transaction on the account's database."""
    assert isinstance(account.client.app, FastAPI)
    return UnitOfWork(account.client.app.state.database, write=True)


def store(account: Account, count: int, **values: Any) -> None:
    """Store expired tokens of the account, with these values."""
    row = {
        "created_at": now(), "updated_at": now(), "user_id": account.id, "token_version": 0, "used_at": None,
        "expires_at": now() - timedelta(hours=1), "revoked_at": None, **values,
    }  # fmt: skip
    with unit_of(account) as unit:
        rows = [{**row, "family": uuid4(), "fingerprint": str(uuid4())} for _ in range(count)]
        unit.session.connection().execute(sa.insert(_tokens), rows)


def count_of(account: Account) -> int:
    """Return the number of stored tokens."""
    with unit_of(account) as unit:
        return unit.session.connection().execute(sa.select(sa.func.count()).select_from(_tokens)).scalar_one()


def test_expired_tokens_go_at_a_login(fresh: Account) -> None:
    """Valid tokens stay and work. A spent token stays until it expires, because it reveals a theft."""
    store(fresh, 3)
    store(fresh, 1, used_at=now() - timedelta(days=2), expires_at=now() + timedelta(hours=1))
    assert log_in(fresh.client, fresh.email).status_code == 200
    assert count_of(fresh) == 1 + 1 + 1
    assert refresh(fresh.client, fresh.refresh_token).status_code == 200


def test_expired_tokens_go_at_a_refresh(fresh: Account) -> None:
    """A client that stays signed in for years never logs in."""
    store(fresh, 3)
    assert refresh(fresh.client, fresh.refresh_token).status_code == 200
    assert count_of(fresh) == 1 + 1


def test_a_bounded_number_goes_at_once(fresh: Account) -> None:
    """A large backlog does not delay a login. The oldest are deleted first."""
    store(fresh, REMOVED_AT_ONCE + 50, expires_at=now() - timedelta(days=400))
    store(fresh, 10)
    assert log_in(fresh.client, fresh.email).status_code == 200
    assert count_of(fresh) == 50 + 10 + 2
    assert log_in(fresh.client, fresh.email).status_code == 200
    assert count_of(fresh) == 3


def test_a_revoked_token_stays_until_its_family_has_expired(fresh: Account) -> None:
    """Longer than its own life: a token stored during the revocation is rejected because of it."""
    store(fresh, 2, revoked_at=now() - timedelta(days=DAYS) + timedelta(hours=2))
    store(fresh, 4, revoked_at=now() - timedelta(days=DAYS, hours=2))
    assert log_in(fresh.client, fresh.email).status_code == 200
    assert count_of(fresh) == 2 + 2


def test_a_revoked_family_stays_revoked(fresh: Account) -> None:
    """Also for a token that the revocation could not see, after the others have expired."""
    family, unseen = revoke_but_one(fresh)
    later = now() + timedelta(days=3)
    with set_clock(lambda: later):
        assert log_in(fresh.client, fresh.email).status_code == 200
        assert refresh(fresh.client, unseen).status_code == 401
    with unit_of(fresh) as unit:
        found = sa.select(_tokens.c.revoked_at.is_not(None)).where(_tokens.c.family == family)
        assert sorted(unit.session.connection().execute(found).scalars()) == [False, True]


def revoke_but_one(account: Account) -> tuple[Any, str]:
    """Store a family: a revoked token that expires in a day, and its successor, which is not revoked."""
    unseen = refresh(account.client, account.refresh_token).json()["refresh_token"]
    with unit_of(account) as unit:
        connection = unit.session.connection()
        family = connection.execute(sa.select(_tokens.c.family).limit(1)).scalar_one()
        spent = _tokens.c.used_at.is_not(None)
        connection.execute(
            sa.update(_tokens).where(spent).values(revoked_at=now(), expires_at=now() + timedelta(days=1))
        )
    return family, unseen


def test_logins_at_once_wait_for_no_deletion(fresh: Account) -> None:
    """A deletion skips tokens that another transaction has locked."""
    store(fresh, 5)
    if fresh.client.app.state.database.dialect.name == "sqlite":  # type: ignore[attr-defined]  # FastAPI's
        return  # one writer at a time
    with unit_of(fresh) as unit:
        held = sa.select(_tokens.c.id).where(_tokens.c.expires_at < now()).order_by(_tokens.c.id).limit(2)
        unit.session.connection().execute(held.with_for_update()).all()
        assert log_in(fresh.client, fresh.email).status_code == 200
    assert count_of(fresh) == 2 + 2
