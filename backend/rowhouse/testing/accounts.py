"""Accounts for tests: stored without the cost of a sign-up, and signed in without that of a login."""

import itertools
from collections.abc import Iterator, Mapping
from functools import cache

from fastapi import FastAPI

from rowhouse.app.jobs import unit
from rowhouse.auth.models import ADMINISTRATOR, User
from rowhouse.auth.service import issue_access_token
from rowhouse.core.security import hash_password
from rowhouse.core.settings import Settings

PASSWORD = "correct-horse"  # noqa: S105  # nosec B105  of every account that a test makes


@cache
def hashed_password(cost: int) -> str:
    """Return the hash of `PASSWORD`. It takes some 50 ms, so a session computes it once."""
    return hash_password(PASSWORD, cost=cost)


class Headers(Mapping[str, str]):
    """The headers of an account that is signed in, for `headers=` of a request. The token is new at each use.

    Example:
        client.get("/api/v1/notes", headers=user)
        client.get("/api/v1/notes", headers={**user, "If-None-Match": tag})
    """

    def __init__(self, account: User, settings: Settings) -> None:
        self.id: int = account.id or 0
        self.email = account.email
        self.role = account.role
        self.password = PASSWORD
        self._version = account.token_version
        self._settings = settings

    def __getitem__(self, name: str) -> str:
        if name != "Authorization":
            raise KeyError(name)
        return f"Bearer {issue_access_token(self.id, self._version, settings=self._settings)}"

    def __iter__(self) -> Iterator[str]:
        return iter(("Authorization",))

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return f"<headers of {self.email}>"


class Accounts:
    """The accounts of one application."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._numbers = itertools.count(1)
        self._kept: dict[tuple[str, str], Headers] = {}

    def create(self, role: str) -> Headers:
        """Store an account with a role, and return its headers. Its password is `PASSWORD`."""
        settings: Settings = self._app.state.settings
        account = User(
            email=f"{role}-{next(self._numbers)}@example.com",
            full_name=f"A test's {role}",
            role=role,
            hashed_password=hashed_password(settings.bcrypt_cost),
        )
        with unit(self._app) as work:
            work.session.add(account)
            work.session.flush()
            return Headers(account, settings)

    def shared(self, role: str, name: str = "") -> Headers:
        """Return the same account at each call with the same role and name."""
        if (role, name) not in self._kept:
            self._kept[role, name] = self.create(role)
        return self._kept[role, name]

    @property
    def administrator(self) -> Headers:
        """The headers of an administrator."""
        return self.shared(ADMINISTRATOR)

    def forget(self) -> None:
        """Forget the shared accounts, because their rows are gone."""
        self._kept.clear()
