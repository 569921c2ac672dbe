"""At start-up the log names each entity's columns that need an index, and how to fix that."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import registry as orm_registry
from sqlmodel import Field, SQLModel
from starlette.testclient import TestClient

from rowhouse.auth.accounts import include_accounts
from rowhouse.auth.models import RefreshToken
from rowhouse.core.policy import ANYONE, SIGNED_IN
from rowhouse.core.settings import Settings
from rowhouse.entities.model import SECRET, IntegerKey, Record
from rowhouse.query.resource import leading_columns
from rowhouse.registration.index_advice import FIX
from rowhouse.registration.mappers import unregistered_classes
from rowhouse.registration.registry import Registry
from tests.conftest import QUIET, shop_database
from tests.core.conftest import kept_logging
from tests.databases import Databases
from tests.sample_entities.application import create_app
from tests.sample_entities.library.models import Book
from tests.sample_entities.odd.base import table_of

metadata = sa.MetaData()
sa.Table("users", metadata, sa.Column("id", sa.Integer, primary_key=True))


class Scratch(IntegerKey, Record, registry=orm_registry(metadata=metadata)):
    """A key and timestamps, in a metadata that no other test sees."""


class Served(Scratch, table=True):
    """Columns that an index serves in every possible way, and columns by which nobody reads."""

    __table_args__ = (
        sa.UniqueConstraint("first_of_two", "second"),
        sa.Index(None, "first_of_index", "second"),
        sa.Index("ix_newest", sa.desc("newest").nulls_last()),
        sa.Index("ix_group", sa.text('"group" DESC')),
    )

    code: str = Field(unique=True)
    label: str = Field(index=True)
    first_of_two: int
    first_of_index: int
    newest: int | None = None
    last: int
    group: int
    second: int = Field(index=False)
    document: dict[str, Any] = Field(sa_type=sa.JSON)
    api_key: Annotated[str, SECRET] = ""


sa.Index("ix_last", table_of(Served).c.last.desc())


class ThoughtAbout(Scratch, table=True):
    """Every way to say that a column needs no index."""

    plain: int = Field(index=False)
    annotated: Annotated[int, Field(index=False)]
    by_keywords: int = Field(sa_column_kwargs={"index": False})
    by_column: int = Field(sa_column=sa.Column(sa.Integer, index=False, nullable=False))
    parent_id: int | None = Field(default=None, foreign_key="serveds.id", index=False)


class Bare(Scratch, table=True):
    """Every way in which a column has no index that serves it."""

    __table_args__ = (
        sa.Index("ix_other", "other", "second"),
        sa.Index("ix_expression", sa.func.abs(sa.text("expression"))),
        sa.Index("ix_negative", sa.text("-negative")),
        sa.Index("ix_partial", "partial", postgresql_where=sa.text("partial > 0")),
        sa.Index("ix_partial_there", "partial_there", sqlite_where=sa.text("partial_there > 0")),
        sa.Index("ix_unordered", "unordered", postgresql_using="hash"),
    )

    other: int
    second: int
    expression: int
    negative: int
    partial: int
    partial_there: int
    unordered: int
    described: int = Field(description="Nothing is said of an index.")
    by_keywords: int = Field(sa_column_kwargs={"comment": "nor here"})
    by_column: int = Field(sa_column=sa.Column(sa.Integer, nullable=False))
    parent_id: int | None = Field(default=None, foreign_key="serveds.id")
    owner_id: int = Field(foreign_key="users.id")
    keeper_key: Annotated[int | None, SECRET] = Field(default=None, foreign_key="serveds.id")


LISTED = "second, expression, negative, partial, partial_there, unordered, described, by_keywords, by_column"
OWNER = "owner_id (for lists of one owner's rows); "
REFERENCES = "(for deletes of the rows they refer to)"


def sentences(model: type[SQLModel], **words: Any) -> list[str]:
    """Return the advice for an entity with this registration."""
    registry = Registry()
    registry.register(model, **{"write": SIGNED_IN, **words})
    return registry.missing_indexes()


@pytest.mark.parametrize("model", [Served, ThoughtAbout])
def test_a_column_with_an_index_or_index_false_is_not_named(model: type[SQLModel]) -> None:
    assert sentences(model) == []


def test_a_column_without_an_index_is_named_with_the_fix() -> None:
    """The owner first, then references, then columns that lists filter and sort by."""
    (sentence,) = sentences(Bare, owner="owner_id")
    named = f"{OWNER}parent_id, keeper_key {REFERENCES}; {LISTED} (for filters and sorting of lists)"
    assert sentence == f"Bare: no index begins with {named}: {FIX}"


def test_the_owner_of_what_others_may_read_is_a_reference_like_any() -> None:
    """Lists do not read by it."""
    (sentence,) = sentences(Bare, owner="owner_id", read=ANYONE)
    assert f"begins with parent_id, owner_id, keeper_key {REFERENCES}; " in sentence


def test_without_a_list_only_references_count() -> None:
    (sentence,) = sentences(Bare, owner="owner_id", operations=("get", "delete"))
    assert sentence == f"Bare: no index begins with parent_id, owner_id, keeper_key {REFERENCES}: {FIX}"


def test_a_class_without_a_line_is_named() -> None:
    """Not the classes of the engine, and not those that a registered class refers to."""
    registry = Registry()
    registry.register(Served, write=SIGNED_IN)
    names = [sentence.partition(" ")[0] for sentence in unregistered_classes([registry])]
    assert names == ["Bare", "ThoughtAbout"]
    library, accounts = Registry(), Registry()
    library.register(Book, write=SIGNED_IN)
    referred = {"Book", "Author", "Review", "Label", "BookLabel"}
    assert not referred & {sentence.partition(" ")[0] for sentence in unregistered_classes([library])}
    include_accounts(accounts)
    assert "RefreshToken" not in "".join(unregistered_classes([accounts]))


@pytest.fixture
def _logging_as_it_was() -> Iterator[None]:
    with kept_logging():
        yield


@pytest.mark.usefixtures("_logging_as_it_was")
def test_a_start_logs_what_is_advised(databases: Databases, backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    """At the start, not at registration or when the application is made: indexes, and an owner that is any number."""
    registry = Registry()
    registry.register(Bare, owner="by_keywords")
    registry.register(Served, write=SIGNED_IN)
    app = create_app(Settings(database_url=databases.empty(backend), **QUIET), registry, metadata)
    assert capsys.readouterr().err == ""
    with TestClient(app) as client:
        assert client.get("/health").status_code == 200
    lines = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    warned = [
        (line["level"], line["event"]) for line in lines if line["event"] != "not ready"
    ]  # no database has its tables
    owner = (
        "Bare: the server writes the account's id into owner='by_keywords', which refers to no accounts; "
        'write by_keywords: int = Field(foreign_key="users.id", index=True) and a migration'
    )
    assert registry.owners_without_accounts() == [owner]
    assert warned == [("warning", *registry.missing_indexes()), ("warning", owner)]


@pytest.mark.usefixtures("_logging_as_it_was")
def test_the_sample_entities_start_without_a_warning(
    databases: Databases, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = shop_database(databases, backend)
    with TestClient(create_app(Settings(database_url=url, **QUIET))) as client:
        assert client.get("/health").status_code == 200
    assert capsys.readouterr().err == ""


def test_the_engines_own_references_have_an_index() -> None:
    """Refresh tokens refer to accounts and are not registered."""
    table = table_of(RefreshToken)
    assert {key.parent.name for key in table.foreign_keys} <= set(leading_columns(table))
