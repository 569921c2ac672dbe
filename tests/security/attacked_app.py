"""An application under attack: its callers and its stored rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.conftest import sign_up
from tests.contract.entity_client import Headers, RunningApp

SECRET = "the-secret-of-the-application-which-nobody-on-the-outside-knows"
API = "/api/v1"
ORIGIN = "https://shop.example"


class AttackedApp:
    """One application with an administrator, an owner of rows, and an attacker."""

    def __init__(self, running_app: RunningApp) -> None:
        self.running_app = running_app
        self.client: TestClient = running_app.client
        self.admin: Headers = running_app.admin
        self.owner: Headers = sign_up(self.client, "driver")
        self.stranger: Headers = sign_up(self.client, "driver")

    @property
    def metadata(self) -> sa.MetaData:
        """The metadata of the tables."""
        metadata: sa.MetaData = self.running_app.entity("books").resource.table.metadata
        return metadata

    @property
    def app(self) -> FastAPI:
        """The application behind the client."""
        found = self.client.app
        assert isinstance(found, FastAPI)
        return found

    def token(self, headers: Headers) -> str:
        """Return the access token of a caller."""
        return headers["Authorization"].removeprefix("Bearer ")

    def everything(self) -> dict[str, list[Any]]:
        """Return every stored row of every table."""
        with self.app.state.database.engine.connect() as connection:
            return {
                table.name: sorted(map(repr, connection.execute(sa.select(table))))
                for table in self.metadata.tables.values()
            }

    def operations(self, *media_types: str) -> list[tuple[str, str]]:
        """Yield the method and path of every operation, or of those with a body of these types. The path names row 1."""
        found = []
        for path, item in self.running_app.document["paths"].items():
            for method, operation in item.items():
                content = operation.get("requestBody", {}).get("content", {})
                if not media_types or set(media_types) & set(content):
                    found.append((method.upper(), path.replace("{id}", "1")))
        return found

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Require that the block stores, changes and deletes nothing."""
        before = self.everything()
        yield
        assert self.everything() == before
