"""Makes table classes at random: their members, key, names, timestamps, words of pydantic and related classes."""

import uuid
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Annotated, Any, NamedTuple

import sqlalchemy as sa
from hypothesis import strategies as some
from pydantic import BaseModel, ConfigDict, computed_field, field_serializer, field_validator, model_validator
from sqlalchemy.dialects import postgresql
from sqlmodel import Field, Relationship, SQLModel

from rowhouse.entities.model import CREATED_AT, SECRET, UPDATED_AT, IntegerKey, PortableTable, Record, plural
from tests.sample_entities.metadata import new_metadata

AT, LATER = "2030-01-31T07:00:00Z", "2031-01-31T07:00:00Z"
SECRET_VALUE = "wholly-unseen"
KIND_OF_CLASS: Any = type(SQLModel)
Row = dict[str, Any]


class Colour(StrEnum):
    """Words."""

    RED, BLUE = "red", "blue"


class Level(IntEnum):
    """Numbers with names."""

    LOW, HIGH = 1, 2


class Size(StrEnum):
    """Words of a key."""

    S, M, L, XL = "s", "m", "l", "x/l"


class Part(BaseModel):
    """A typed document."""

    name: str
    since: date
    price: Decimal | None = None


class Kind(NamedTuple):
    """A column: its type in Python and in the database, and two values in JSON."""

    annotation: Any
    stored: Callable[[], Any]
    values: tuple[Any, Any]
    is_comparable: bool = True


KINDS = {
    "text": Kind(str, sa.Text, ("a,b", "'=Ä")),
    "string": Kind(str, lambda: sa.String(9), ("a", "b")),
    "integer": Kind(int, sa.Integer, (1, -2)),
    "money": Kind(float, lambda: sa.Numeric(8, 2), (1.25, 2)),
    "double": Kind(float, sa.Double, (0.1, 1e9)),
    "truth": Kind(bool, sa.Boolean, (True, False)),
    "instant": Kind(datetime, lambda: sa.DateTime(timezone=True), (AT, LATER)),
    "moment": Kind(datetime, sa.DateTime, (AT, LATER)),
    "colour": Kind(Colour, lambda: sa.Enum(Colour, native_enum=False), ("red", "blue")),
    "level": Kind(Level, lambda: sa.Enum(Level, native_enum=False), (2, 1)),
    "words": Kind(str, lambda: sa.Enum("old", "new", native_enum=False), ("old", "new")),
    "photo": Kind(bytes, sa.LargeBinary, ("+/8=", "AA=="), is_comparable=False),
    "document": Kind(dict[str, Any], sa.JSON, ({"a": [1]}, {}), is_comparable=False),
    "days": Kind(list[datetime], sa.JSON, ([AT], []), is_comparable=False),
    "part": Kind(
        Part,
        sa.JSON,
        ({"name": "ä", "since": "2030-01-31", "price": "1.50"}, {"name": "", "since": "0001-01-01", "price": None}),
        is_comparable=False,
    ),
    "parts": Kind(
        dict[str, list[Part]],
        sa.JSON,
        ({"x": [{"name": "a", "since": "2030-01-31", "price": None}]}, {"": []}),
        is_comparable=False,
    ),
    "guest": Kind(uuid.UUID, postgresql.UUID, (str(uuid.UUID(int=5)), str(uuid.UUID(int=2**127)))),
    "hour": Kind(time, sa.Time, ("10:00:00", "00:00:00.000001")),
    "birthday": Kind(date, sa.Date, ("2030-01-31", "0001-01-01")),
    "single": Kind(float, sa.REAL, (1, 2)),
    "swapped": Kind(int, lambda: sa.Numeric(8, 0), (1, 2)),
    "padded": Kind(str, lambda: sa.CHAR(5), ("a", "b")),
    "inexact": Kind(float, sa.Numeric, (1, 2)),
}
NAMES = ("order", "metadata", "Größe", "Unit Price", "select", "a%(b)s", 'q"q', "x" * 60)


class Member(NamedTuple):
    """One member of a class: its kind, the name of its column, and whether null may be stored."""

    kind: str
    stored_as: str | None
    is_nullable: bool


class KeyKind(NamedTuple):
    """A primary key: the types of its columns, and the values of four rows; none if the server makes them."""

    columns: dict[str, Any]
    values: tuple[tuple[Any, ...], ...] = ()


KEYS = {
    "counted": KeyKind({"id": int}),
    "uuid": KeyKind({"reference": uuid.UUID}),
    "text": KeyKind({"code": str}, (('a/b,"ü"',), ("x y",), ("/",), ("%41",))),
    "integer": KeyKind({"number": int}, ((0,), (-7,), (5,), (6,))),
    "double": KeyKind({"ratio": float}, ((0.1,), (-2,), (1e300,), (5,))),
    "day": KeyKind({"day": date}, (("2030-01-31",), ("0001-01-01",), ("9999-12-31",), ("2000-02-29",))),
    "instant": KeyKind({"at": datetime}, ((AT,), (LATER,), ("0001-01-02T00:00:00Z",), ("2030-01-31T07:00:00.5Z",))),
    "word": KeyKind({"size": Size}, (("s",), ("m",), ("l",), ("x/l",))),
    "pair": KeyKind({"number": int, "letter": str}, ((1, "a"), (1, "b,;"), (2, ""), (2, '"'))),
    "triple": KeyKind({"day": date, "size": Size, "number": int}, tuple(("2030-01-31", s, 1) for s in Size)),
    "flag": KeyKind({"is_last": bool}),
}


DEFAULTS: dict[str, Row] = {"counted": {"default": None}, "uuid": {"default_factory": uuid.uuid4}}


class Shape(NamedTuple):
    """A class."""

    members: list[Member]
    key: str = "counted"
    key_stored_as: str | None = None
    name: str = "MadeUp"
    table: str | None = None
    stamps: str = "usual"
    words: frozenset[str] = frozenset()
    related: frozenset[str] = frozenset()
    fault: str | None = None


WORDS = ("computed", "hidden", "strip", "validated", "ordered", "secret", "unique", "owned")
RELATED = ("tags", "lines", "twin", "schema")
# What makes the registry refuse a class: four types of columns, a key, two words of pydantic, and a name.
FAULTS = ("padded", "inexact", "single", "swapped", "flag", "alias", "serializer", "Größe")


def _members() -> some.SearchStrategy[list[Member]]:
    kinds = some.sampled_from(sorted(KINDS.keys() - set(FAULTS)))
    return some.lists(
        some.builds(Member, kinds, some.none() | some.sampled_from(NAMES), some.booleans()),
        min_size=1,
        max_size=4,
        unique_by=(lambda member: member.kind, lambda member: member.stored_as or member.kind),
    )


def _with_fault(shape: Shape, fault: str | None) -> Shape:
    """Return a class that is refused for one reason."""
    if fault is None:
        return shape
    if fault in KINDS:
        return shape._replace(members=[*shape.members, Member(fault, None, is_nullable=False)], fault=fault)
    if fault in KEYS:
        return shape._replace(key=fault, fault=fault)
    return shape._replace(name=fault if fault == "Größe" else shape.name, fault=fault)


SHAPES = some.builds(
    _with_fault,
    some.builds(
        Shape,
        members=_members(),
        key=some.sampled_from(sorted(KEYS.keys() - set(FAULTS))),
        key_stored_as=some.sampled_from((None, None, "Schlüssel", "user", "Key %s")),
        name=some.sampled_from(("MadeUp", "HTTPServer", "lower", "Order")),
        table=some.sampled_from((None, "group", "Größen", "user x")),
        stamps=some.sampled_from(("usual", "none", "marked")),
        words=some.frozensets(some.sampled_from(WORDS), max_size=4),
        related=some.frozensets(some.sampled_from(RELATED), max_size=2),
        fault=some.none(),
    ),
    some.sampled_from((*[None] * 14, *FAULTS)),
)


def random_class(shape: Shape) -> tuple[type[SQLModel], list[type[SQLModel]], sa.MetaData]:
    """Return a table class of this shape, the classes related to it, and their metadata."""
    metadata = new_metadata()
    bare = _made("Bare", (PortableTable,), {}, registry=sa.orm.registry(metadata=metadata))
    body: dict[str, Any] = {"__annotations__": {}}
    if shape.table:
        body["__tablename__"] = shape.table
    if "schema" in shape.related:
        body["__table_args__"] = {"schema": "ops"}
    table = shape.table or plural(shape.name).replace("-", "_")
    _add_key(body, shape)
    for member in shape.members:
        _add_member(body, member)
    _add_words(body, {*shape.words, shape.fault})
    if shape.stamps == "marked":
        body["__annotations__"] |= {
            "added": Annotated[datetime, CREATED_AT],
            "changed": Annotated[datetime, UPDATED_AT],
        }
    related = _add_related(body, bare, shape, table)
    bases = (bare, Record) if shape.stamps == "usual" else (bare,)
    return _made(shape.name, bases, body, table=True), related, metadata


def _add_key(body: dict[str, Any], shape: Shape) -> None:
    """Declare the columns of the key; the first one has the name that the shape gives it."""
    field: Any = Field  # its overloads take no unpacked options
    for number, (name, annotation) in enumerate(KEYS[shape.key].columns.items()):
        named = {"sa_column_kwargs": {"name": shape.key_stored_as}} if shape.key_stored_as and not number else {}
        default = DEFAULTS.get(shape.key, {})
        body["__annotations__"][name] = annotation | None if shape.key == "counted" else annotation
        body[name] = field(primary_key=True, **default, **named)


def _add_member(body: dict[str, Any], member: Member) -> None:
    kind = KINDS[member.kind]
    column = sa.Column(member.stored_as or member.kind, kind.stored(), nullable=member.is_nullable)
    body["__annotations__"][member.kind] = kind.annotation | None if member.is_nullable else kind.annotation
    body[member.kind] = Field(default=None, sa_column=column) if member.is_nullable else Field(sa_column=column)


def _add_words(body: dict[str, Any], words: set[str | None]) -> None:
    """Declare what pydantic calls or reads, over members of its own."""
    columns = body["__annotations__"]
    if "hidden" in words:
        columns["hidden"], body["hidden"] = str, Field(default="none", exclude=True)
    if "computed" in words:
        body["summary"] = computed_field(property(_summary))
    if "strip" in words:
        columns["label"], body["label"] = str, ""
        body["model_config"] = ConfigDict(str_strip_whitespace=True)
    if "validated" in words:
        columns["mood"], body["mood"] = str, "good"
        body["_judge"] = field_validator("mood")(classmethod(_judge))
    if "ordered" in words:
        columns.update(low=int, high=int)
        body.update(low=0, high=1, _order=model_validator(mode="after")(_order))
    _add_more_words(columns, body, words)


def _add_more_words(columns: Row, body: Row, words: set[str | None]) -> None:
    """Declare members that the registration line or a constraint makes special, and words that are refused."""
    if "secret" in words:
        columns["door_code"], body["door_code"] = Annotated[str, SECRET], SECRET_VALUE
    if "unique" in words:
        columns["serial"], body["serial"] = str | None, Field(default=None, unique=True)
    if "owned" in words:
        columns["owner_id"], body["owner_id"] = int | None, Field(default=None, foreign_key="users.id", index=True)
    if "alias" in words:
        columns["nick"], body["nick"] = str, Field(default="", alias="Nick")
    if "serializer" in words:
        columns["iban"], body["iban"] = str, ""
        body["_mask"] = field_serializer("iban")(_mask)


def _summary(self: Any) -> str:
    """Show the length of the hidden member, where there is one."""
    return f"{len(getattr(self, 'hidden', ''))}!"


def _judge(_cls: type, value: str) -> str:
    if value == "bad":
        raise ValueError("a mood is good")
    return value


def _order(self: Any) -> Any:
    if self.low > self.high:
        raise ValueError("low is above high")
    return self


def _mask(_self: Any, value: str) -> str:
    return value[-4:]


def _list_of(model: Any) -> Any:
    return list[model]


def _add_related(body: dict[str, Any], bare: Any, shape: Shape, table: str) -> list[type[SQLModel]]:
    """Declare the tags that the class is linked with, the lines that it owns, and its twin."""
    made: list[type[SQLModel]] = []
    full_name = f"ops.{table}" if "schema" in shape.related else table
    names = list(KEYS[shape.key].columns)
    stored = [shape.key_stored_as or names[0], *names[1:]]
    targets = [f"{full_name}.{one}" for one in stored]

    def referring(called: str, members: dict[str, tuple[Any, Any]], *, is_key: bool = False) -> Any:
        """Return a class that refers to the key."""
        columns = {f"made_{one}": kind for one, kind in KEYS[shape.key].columns.items()}
        fields = {one: Field(primary_key=True) if is_key else Field(index=True) for one in columns}
        foreign = sa.ForeignKeyConstraint(list(columns), targets, name=f"fk_{called}")
        unique = [sa.UniqueConstraint(*columns)] if called == "Twin" else []
        own = {"__annotations__": {**columns, **{n: a for n, (a, _) in members.items()}}, **fields}
        own |= {n: f for n, (_, f) in members.items()} | {"__table_args__": (foreign, *unique)}
        return _made(called, (bare,) if is_key else (IntegerKey, bare), own, table=True)

    if "tags" in shape.related:
        tag = _made("Tag", (IntegerKey, bare), {"__annotations__": {"name": str}}, table=True)
        link = referring(
            "TagOfMade", {"tag_id": (int, Field(foreign_key="tags.id", primary_key=True, index=True))}, is_key=True
        )
        body["__annotations__"]["tags"], body["tags"] = _list_of(tag), Relationship(link_model=link)
        made.append(tag)
    if "lines" in shape.related:
        made.append(referring("Line", {"position": (int, 0), "note": (str, "")}))
        body["__annotations__"]["lines"], body["lines"] = _list_of(made[-1]), Relationship(cascade_delete=True)
    if "twin" in shape.related:
        made.append(referring("Twin", {"name": (str, "")}))
        body["__annotations__"]["twin"] = made[-1] | None
        body["twin"] = Relationship(sa_relationship_kwargs={"uselist": False})
    return made


def _made(name: str, bases: tuple[type, ...], body: dict[str, Any], **options: Any) -> Any:
    return KIND_OF_CLASS(name, bases, {"__module__": __name__, "__annotations__": {}, **body}, **options)
