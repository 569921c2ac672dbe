"""What a class says to one database only is refused where the other would store other rows, or fail."""

from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlmodel import Field, SQLModel

from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.entities.model import Adopted, IntegerKey, PortableTable
from rowhouse.registration import one_database
from rowhouse.registration.class_checks import check_database
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import RegistrationError
from tests.conftest import QUIET
from tests.databases import Databases
from tests.sample_entities.application import create_app
from tests.sample_entities.metadata import new_metadata

metadata = new_metadata()
HIGH = sa.text("n > 5")


class Base(IntegerKey, PortableTable, registry=sa.orm.registry(metadata=metadata)):
    """A table without timestamps."""


def _unique(**words: Any) -> sa.Column[int]:
    return sa.Column(sa.Integer, nullable=False, unique=True, **words)


class Replacing(Base, table=True):
    """A second row of one number would delete the first on SQLite."""

    __table_args__ = (sa.UniqueConstraint("n", sqlite_on_conflict="REPLACE"),)
    n: int = 0


class Ignoring(Base, table=True):
    """The same word at a column."""

    n: int = Field(default=0, sa_column=_unique(sqlite_on_conflict_unique="IGNORE"))


class Fleeting(Base, table=True):
    """A table of one connection."""

    __table_args__ = {"prefixes": ["TEMPORARY"]}  # noqa: RUF012  as projects write it


class Unlogged(Base, table=True):
    """A kind of table that only PostgreSQL has."""

    __table_args__ = {"prefixes": ["UNLOGGED"]}  # noqa: RUF012  as above


class Rowless(Base, table=True):
    """SQLite counts no key of such a table."""

    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012  as above


class Strict(Base, table=True):
    """A table with SQLite's own types."""

    __table_args__ = {"sqlite_strict": True}  # noqa: RUF012  as above


class Distinct(Base, table=True):
    """One null at most."""

    __table_args__ = (sa.UniqueConstraint("n", postgresql_nulls_not_distinct=True),)
    n: int | None = None


class Excluding(Base, table=True):
    """A rule that only PostgreSQL has."""

    __table_args__ = (postgresql.ExcludeConstraint(("n", "="), name="ex_n"),)
    n: int | None = None


class HighOnPostgreSQL(Base, table=True):
    """All numbers on SQLite."""

    __table_args__ = (sa.Index("uq_high", "n", unique=True, postgresql_where=HIGH),)
    n: int = 0


class HighOnSQLite(Base, table=True):
    """All numbers on PostgreSQL."""

    __table_args__ = (sa.Index("uq_low", "n", unique=True, sqlite_where=HIGH),)
    n: int = 0


class AnyCase(Base, table=True):
    """A collation of SQLite."""

    name: str = Field(sa_column=sa.Column(sa.String(9, collation="NOCASE"), nullable=False))


class German(Base, table=True):
    """A collation of PostgreSQL."""

    name: str = Field(sa_column=sa.Column(sa.String(9, collation="de-x-icu"), nullable=False))


class Random(Base, table=True):
    """A function of PostgreSQL."""

    code: UUID | None = Field(default=None, sa_column_kwargs={"server_default": sa.text("gen_random_uuid()")})


class Sound(Base, table=True):
    """The same words where both databases honour them, or never need them."""

    __table_args__ = (
        sa.UniqueConstraint("n", sqlite_on_conflict="ABORT"),
        sa.Index("uq_both", "n", unique=True, sqlite_where=HIGH, postgresql_where=HIGH),
        sa.Index("ix_some", "n", postgresql_where=HIGH),
    )
    n: int = 0
    code: UUID = Field(default_factory=uuid4, sa_column_kwargs={"server_default": sa.text("gen_random_uuid()")})
    stated: str | None = Field(default=None, sa_column_kwargs={"server_default": sa.text("lower('X')")})
    name: str = Field(
        default="",
        sa_column=sa.Column(
            sa.String(9, collation="NOCASE").with_variant(sa.String(9, collation="C"), "postgresql"), nullable=False
        ),
    )


class AdoptedBase(Adopted, registry=sa.orm.registry(metadata=metadata)):
    """`Adopted` in the same metadata."""


class Found(AdoptedBase, table=True):
    """A table that exists on one database is as it is."""

    __table_args__ = (sa.Index("uq_found", "n", unique=True, postgresql_where=HIGH),)
    id: int | None = Field(default=None, primary_key=True)
    n: int = 0


BOTH = ("sqlite", "postgresql")
REFUSED: tuple[tuple[type[SQLModel], tuple[str, ...], str], ...] = (
    (Replacing, BOTH, "Replacing: sqlite_on_conflict='REPLACE' changes or loses rows"),
    (Ignoring, BOTH, "Ignoring.n: sqlite_on_conflict_unique='IGNORE' changes or loses rows"),
    (Fleeting, BOTH, "Fleeting: other connections do not see a temporary table"),
    (Unlogged, ("sqlite",), "Unlogged: SQLite has no UNLOGGED tables"),
    (Rowless, ("sqlite",), "Rowless: SQLite counts no key"),
    (Strict, ("sqlite",), "Strict: strict tables of SQLite"),
    (Distinct, ("sqlite",), "Distinct: postgresql_nulls_not_distinct has no effect on SQLite"),
    (Excluding, ("sqlite",), "Excluding: SQLite has no ExcludeConstraint"),
    (HighOnPostgreSQL, ("sqlite",), "the unique index uq_high holds for all rows on SQLite"),
    (HighOnSQLite, ("postgresql",), "the unique index uq_low holds for all rows on PostgreSQL"),
    (AnyCase, ("postgresql",), "AnyCase.name: PostgreSQL has no collation 'NOCASE'"),
    (German, ("sqlite",), "German.name: SQLite has no collation 'de-x-icu'"),
    (Random, ("sqlite",), "Random.code: SQLite cannot evaluate its server_default: no such function: gen_random_uuid"),
    (Sound, (), ""),
    (Found, (), ""),
)


@pytest.mark.parametrize(("model", "refusing", "message"), REFUSED)
def test_a_word_of_one_database(
    databases: Databases, backend: str, model: type[SQLModel], refusing: tuple[str, ...], message: str
) -> None:
    """The start on the other one names it and the fix."""
    registry = Registry("/api/v1")
    registry.register(model, read=ANYONE, write=ANYONE)
    settings = Settings(database_url=databases.empty(backend), **QUIET)
    if backend not in refusing:
        create_app(settings, registry, metadata)
        return
    with pytest.raises(RegistrationError) as refused:
        create_app(settings, registry, metadata)
    assert message in str(refused.value)


def test_a_migration_checks_every_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that no line registers, and none of other models."""
    dialect = sa.make_url("sqlite://").get_dialect()()
    monkeypatch.setattr(one_database, "mapper_registry", lambda: sa.inspect(Replacing).registry)
    one_database.check_classes(new_metadata(), dialect)
    with pytest.raises(RegistrationError, match=r"take \w+ out|PostgreSQL alone"):
        one_database.check_classes(metadata, dialect)


class Measured(Base, table=True):
    """With an SQL expression, which a registration refuses and a migration need not know."""

    name: str = ""


Measured.size = sa.orm.column_property(sa.func.length(Measured.name))


@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_an_expression_is_no_column_of_the_database(name: str) -> None:
    """So no database lacks its type."""
    check_database(Measured, sa.make_url(f"{name}://").get_dialect()())
