"""A class statement that SQLModel or SQLAlchemy refuses is explained: with the class, the field and a fix that works."""

import dataclasses
import sys
import traceback
from types import ModuleType
from typing import Annotated, Any, ForwardRef, Literal, NewType

import pydantic
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import registry as orm_registry
from sqlmodel import Field, Relationship, SQLModel

from rowhouse import READ_ONLY, SECRET, SIGNED_IN, Entity, Registry
from rowhouse.cli.serve import explained
from rowhouse.schemas.columns import RegistrationError

Base = Any
Stars = NewType("Stars", int)
JSON = "store it as JSON with Field(sa_type=sa.JSON)"
RELATED = f"write = Relationship() for the rows of another class, or {JSON}"
TEXT = "annotate it with str, and check it in a @field_validator"


@dataclasses.dataclass
class Size:
    """A dataclass."""

    width: int


@pytest.fixture
def base() -> Base:
    """A base class with a metadata of its own."""

    class Own(SQLModel, registry=orm_registry(metadata=sa.MetaData())):
        """`SQLModel` in a metadata of its own."""

    return Own


def declare(base: Base, name: str = "Pet", /, **members: Any) -> Base:
    """Return a table class with these members, each a type and a field, in addition to an id."""
    found = {"id": (int | None, Field(default=None, primary_key=True)), **members}
    fields = {one: field for one, (_, field) in found.items() if field is not None}
    kinds = {one: kind for one, (kind, _) in found.items()}
    return type(base)(name, (base,), {"__annotations__": kinds, "__module__": __name__, **fields}, table=True)


def refused(base: Base, *name: str, **members: Any) -> str:
    """Return the message for a class statement, whose traceback shows neither SQLModel nor SQLAlchemy."""
    with pytest.raises(RegistrationError) as caught:
        declare(base, *name, **members)
    shown = "".join(traceback.format_exception(caught.value))
    assert "site-packages" not in shown
    assert shown.count("Traceback") == 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "shown", "fix"),
    [
        (list[str], "list[str]", JSON),
        (list[str] | None, "list[str]", JSON),
        (dict, "dict", JSON),
        (Any, "Any", JSON),
        (Size, "Size", JSON),
        (int | str, "Union[int, str]", f"give it one type, or {JSON}"),
        (Literal["a", "b"], "Literal['a', 'b']", "write an Enum, or Field(sa_type=sa.String)"),
        (Annotated[Literal["a"], READ_ONLY] | None, "Literal['a']", "write an Enum, or Field(sa_type=sa.String)"),
        (Literal[1, 2], "Literal[1, 2]", "write an Enum"),
        (Stars, "Stars", "annotate it with int, or give the column a type with Field(sa_type=...)"),
        (pydantic.PastDate, "PastDate", "annotate it with date, and compare it in a @field_validator"),
        (pydantic.FutureDatetime, "FutureDatetime", "annotate it with datetime, and compare it in a @field_validator"),
        (pydantic.HttpUrl, "HttpUrl", TEXT),
        (pydantic.PostgresDsn, "PostgresDsn", TEXT),
        (pydantic.SecretStr, "SecretStr", "annotate it with Annotated[str, SECRET]"),
        (ForwardRef("Vet"), "Vet", RELATED),
        (list["Vet"], "list['Vet']", RELATED),  # type: ignore[name-defined]  # noqa: F821  a class that is not there
        (complex, "complex", "use one of AwareDatetime, Decimal, EmailStr"),
    ],
)  # fmt: skip
def test_a_field_without_a_column(base: Base, annotation: Any, shown: str, fix: str) -> None:
    """Each kind has its own way out."""
    said = refused(base, word=(annotation, None))
    assert said.startswith(f"Pet.word: SQLModel has no column for {shown}; {fix}")


def test_an_annotation_without_a_hash(base: Base) -> None:
    """Such as a list with a limit for its elements."""
    said = refused(base, words=(list[Annotated[str, Field(max_length=3)]], None))
    assert said.startswith("Pet.words: SQLModel has no column for list[Annotated[")
    assert said.endswith(JSON)


def test_a_table_class_is_no_column(base: Base) -> None:
    """Nor is a list of them."""
    vet = declare(base, "Vet")
    for annotation in (vet, list.__class_getitem__(vet)):
        assert refused(base, word=(annotation, None)).endswith("; write = Relationship() for the rows of another class")


@pytest.mark.parametrize(
    ("annotation", "field"),
    [
        (list[str], Field(sa_type=sa.JSON)),
        (int | str, Field(sa_type=sa.JSON)),
        (Size, Field(sa_type=sa.JSON)),
        (Literal["a", "b"], Field(sa_type=sa.String)),
        (Stars, Field(sa_type=sa.Integer)),
        (Annotated[str, SECRET], Field(default="")),
    ],
)
def test_the_named_fixes_work(base: Base, annotation: Any, field: Any) -> None:
    """The class is registered."""
    Registry().register(declare(base, word=(annotation, field)), write=SIGNED_IN)


def test_an_instant_without_a_zone_is_another_annotation(base: Base) -> None:
    """SQLModel has a column for it, which holds no instant."""
    pet = declare(base, born=(pydantic.NaiveDatetime, None))
    with pytest.raises(
        RegistrationError, match=r"Pet.born: .*; annotate the field with datetime, and leave the type out"
    ):
        Registry().register(pet, write=SIGNED_IN)


def test_a_literal_needs_a_column_of_its_length(base: Base) -> None:
    """Only PostgreSQL would refuse the longer word."""
    pet = declare(base, word=(Literal["cat", "horse"], Field(sa_type=sa.String(3))))
    with pytest.raises(RegistrationError, match=r"Pet.word: String\(length=3\) is too short for 'horse'"):
        Registry().register(pet, write=SIGNED_IN)


def test_other_faults_of_a_column(base: Base) -> None:
    """An option that the annotation contradicts, and an error of SQLAlchemy's in its own words."""
    key = Field(foreign_key="pet.id", ondelete="SET NULL")
    said = refused(base, parent_id=(int, key))
    assert said == 'Pet.parent_id: ondelete="SET NULL" requires nullable=True; annotate it with int | None'
    said = refused(base, age=(int, Field(sa_column_kwargs={"indx": True})))
    assert said.startswith("Pet.age: SQLModel makes no column of it: Additional arguments should be named")


class Unknown:
    """A class that pydantic does not know."""


def test_a_field_that_pydantic_refuses(base: Base) -> None:
    """The message names the class of a table. That of another class is pydantic's own."""
    said = refused(base, word=(Unknown, None))
    assert f"Pet: pydantic does not know how to validate a {__name__}.Unknown; annotate the field with one of" in said
    members = {"name": Field(), "__module__": __name__}
    with pytest.raises(RegistrationError) as refusal:
        type(base)("Pet", (base,), members, table=True)
    assert str(refusal.value) == "Pet: pydantic refuses it: Field 'name' requires a type annotation"
    with pytest.raises(pydantic.PydanticUserError) as own:
        type(base)("PetCreate", (base,), members)
    assert explained(own.value).startswith("PydanticUserError: Field 'name' requires a type annotation (")
    assert "For further information" not in explained(own.value)


def test_a_class_without_a_key(base: Base) -> None:
    """The message shows the two ways to one."""
    said = refused(base, id=(int, Field()))
    assert said.startswith(
        "Pet has no primary key: derive it from Entity, which has an id, or give it one, such as id:"
    )


def test_another_refusal_is_in_the_words_of_sqlalchemy(base: Base) -> None:
    """With the class."""
    said = refused(base, __table_args__=(tuple, (sa.UniqueConstraint("nme"),)))
    assert said.startswith("Pet: SQLAlchemy refuses it: Can't create UniqueConstraint on table 'pet': no column named")


def test_a_table_named_twice_names_both_files(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the one file that is imported under two names, or the module that is imported no more."""
    declare(base, "Twin")
    named = {"__tablename__": (str, "twin")}
    here = "tests/crud/test_class_statements.py"
    fix = "Give one of them another name or __tablename__."
    said = refused(base, "Other", **named)
    assert said == f"Two classes have the table twin: Twin of {here} and Other of {here}. {fix}"
    again = ModuleType("again")
    again.__file__ = __file__
    monkeypatch.setitem(sys.modules, "again", again)
    base.metadata.tables["twin"].info["module"] = "again"
    assert f"{here} is imported as again and as {__name__}. Import it under one name." in refused(base, "Copy", **named)
    monkeypatch.delitem(sys.modules, "again")
    assert "Twin of again and Third of tests/" in refused(base, "Third", **named)
    sa.Table("bare", base.metadata)
    said = refused(base, "Bare")
    assert said == f"Bare of {here} has the name of the table bare, which exists already. {fix}"


def test_what_a_project_writes_stays_as_it_is(base: Base) -> None:
    """A class without a table, a subclass with a metaclass's options, and a relationship."""
    vet = declare(base, "Vet")
    pet = declare(
        base,
        vet_id=(int, Field(foreign_key="vet.id")),
        tags=(list[str], Field(sa_type=sa.JSON)),
        vet=(vet, Relationship()),
    )
    assert pet(vet_id=1, tags=["a"], vet=vet(id=1)).vet.id == 1
    assert type(Entity) is type(base)
