"""The stage of the attacks: the product on SQLite, its callers, and a look at all that is stored."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from pydantic import SecretStr
from sqlmodel import SQLModel
from starlette.testclient import TestClient

from app.api import registry
from rowhouse.http.routing import Router
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in, sign_up
from tests.contract.entity_client import Headers, World
from tests.core.conftest import build_product

SECRET = "the-secret-of-the-stage-which-nobody-on-the-outside-knows"
API = "/api/v1"
ORIGIN = "https://shop.example"


class Stage:
    """One application with an administrator, an owner of things and a stranger who attacks."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.admin: Headers = sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)
        self.owner: Headers = sign_up(client, "driver")
        self.stranger: Headers = sign_up(client, "driver")
        self.world = World(client, registry, self.admin)

    @property
    def app(self) -> FastAPI:
        """The application behind the client."""
        found = self.client.app
        assert isinstance(found, FastAPI)
        return found

    def token(self, headers: Headers) -> str:
        """The access token of a caller."""
        return headers["Authorization"].removeprefix("Bearer ")

    def everything(self) -> dict[str, list[Any]]:
        """Every stored row of every table."""
        with self.app.state.database.engine.connect() as connection:
            return {
                table.name: sorted(map(repr, connection.execute(sa.select(table))))
                for table in SQLModel.metadata.tables.values()
            }

    def operations(self, *media_types: str) -> list[tuple[str, str]]:
        """The method and path of every operation, or of those that read a body of one of these types; the path names a row 1."""
        found = []
        for path, item in self.world.document["paths"].items():
            for method, operation in item.items():
                content = operation.get("requestBody", {}).get("content", {})
                if not media_types or set(media_types) & set(content):
                    found.append((method.upper(), path.replace("{id}", "1")))
        return found

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """What happens within stores, changes and deletes nothing at all."""
        before = self.everything()
        yield
        assert self.everything() == before


@pytest.fixture(scope="session")
def stage(make_app: Callable[..., TestClient]) -> Stage:
    """One for all attacks; what they try changes nothing, so they do not meet."""
    return Stage(make_app("sqlite", jwt_secret=SecretStr(SECRET)))


@pytest.fixture(scope="session")
def served(stage: Stage) -> Iterator[Stage]:
    """The product with a route that fails, small bodies and files, and one origin."""
    router = Router()

    @router.get("/crash")
    def crash() -> None:
        raise RuntimeError("words that are not for clients")

    options = {
        "admin_email": ADMIN_EMAIL,
        "admin_password": SecretStr(ADMIN_PASSWORD),
        "jwt_secret": SecretStr(SECRET),
        "cors_origins": (ORIGIN,),
        "max_body_bytes": 1024,
        "max_import_bytes": 4096,
    }
    with TestClient(
        build_product(stage.app.state.settings.database_url, router, **options), raise_server_exceptions=False
    ) as client:
        yield Stage(client)


@pytest.fixture(scope="session")
def sqlite_url(stage: Stage) -> str:
    """The address of the stage's database."""
    return str(stage.app.state.settings.database_url)
