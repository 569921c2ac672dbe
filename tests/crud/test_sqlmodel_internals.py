"""The parts of SQLModel that it does not export: an upgrade that changes one fails here."""

from typing import Annotated, Any

import pytest
import sqlalchemy as sa
from annotated_types import Ge
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from rowhouse.history.entries import HistoryEntry
from rowhouse.schemas.columns import RegistrationError
from rowhouse.schemas.sqlmodel_internals import constraints_in, lost_options, mapper_registry, states_no_index


class Sample(SQLModel):
    """Fields with and without an option about an index."""

    plain: int
    bare: int = Field(default=1)
    indexed: int = Field(index=True)
    without: Annotated[int, Ge(5)] = Field(index=False, ge=3)
    column: int = Field(sa_column=sa.Column(sa.Integer(), index=False))
    column_with: int = Field(sa_column=sa.Column(sa.Integer(), index=True))
    keywords: int = Field(sa_column_kwargs={"index": False})


@pytest.mark.parametrize(
    ("name", "stated"),
    [
        ("plain", False), ("bare", False), ("indexed", False), ("without", True), ("column", True), ("column_with", False),
        ("keywords", True),
    ],
)  # fmt: skip
def test_states_no_index_only_if_the_class_says_so(name: str, stated: bool) -> None:  # noqa: FBT001  cases
    """By SQLModel's own argument, by a column, or by a column's arguments."""
    assert states_no_index(Sample.model_fields[name]) is stated


def test_constraints_are_the_metadata_without_the_options_of_sqlmodel() -> None:
    """Those of the annotation and of the field."""
    found: list[Any] = constraints_in(Sample.model_fields["without"].metadata)
    assert sorted(constraint.ge for constraint in found) == [3, 5]


def test_the_mapper_registry_has_the_classes_of_sqlmodel() -> None:
    """Those that name no registry of their own."""
    assert sa.inspect(HistoryEntry).registry is mapper_registry()


def test_lost_options_are_those_that_do_nothing() -> None:
    """Words with a warning of their own, such as `min_items`, still do something; defaults are no options."""
    field: Any = Field(regex="a", const=True, unique_items=True, allow_mutation=False, include={"a"})
    assert [*lost_options(field)] == ["regex", "const", "unique_items", "allow_mutation", "include"]
    assert lost_options(Sample.model_fields["plain"]) == lost_options(Sample.model_fields["bare"]) == {}


def test_the_errors_of_a_class_statement_are_replaced() -> None:
    """Those that know the class and the field, by SQLModel's metaclass, and the one that knows the class alone."""

    class Base(SQLModel, registry=registry(metadata=sa.MetaData())):
        """A base without a table."""

    with pytest.raises(RegistrationError, match=r"^Wrong\.words: "):

        class Wrong(Base, table=True):
            """A list without a type of the database."""

            id: int = Field(primary_key=True)
            words: list[str]

    with pytest.raises(RegistrationError, match=r"^Keyless has no primary key: "):

        class Keyless(Base, table=True):
            """A class without a key."""

            word: str
