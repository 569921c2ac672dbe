"""Reads the fields of an entity from the command line: `name:str founded:int? kind:enum(paper,audio) house:Publisher`.

Knows the code that each type becomes. Must not read the project.
"""

import json
import keyword
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from math import isfinite

from sqlmodel import SQLModel

from rowhouse.cli.errors import ArgumentError
from rowhouse.cli.scaffold.source import call

Import = tuple[str, str]  # a module, and a name in it
SPECIFICATION = re.compile(
    r"(?P<name>[^:=?]+):(?P<type>\w+(?:\([^)]*\))?)(?P<nullable>\??)(?P<unique>!?)(?:=(?P<default>.*))?", re.DOTALL
)
INDEX = "index=True"  # the index of a unique column is that of its constraint
ENUM = re.compile(r"enum\((?P<values>[^)]*)\)")
QUOTED = re.compile(r'["\\]')
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
# Columns of every entity, and the parameters of lists, whose names a filter would share.
OF_THE_ENGINE = frozenset({"id", "created_at", "updated_at"})
OF_LISTS = frozenset({"page", "size", "skip", "limit", "cursor", "sort", "search", "fields", "expand", "any"})
MAX_NAME = 50  # PostgreSQL cuts the name of an index, which holds it, at 63 bytes
MAX_INTEGER = 2**31 - 1
MAX_TEXT, MAX_DEFAULT, MAX_DIGITS, DECIMAL_PLACES = 200, 60, 12, 2


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The code of one type: its annotation, the words of its `Field`, and how a default is read."""

    annotation: str
    options: tuple[str, ...] = ("index=True",)
    imports: tuple[Import, ...] = ()
    default: Callable[[str], tuple[str, tuple[Import, ...]]] | None = None


@dataclass(frozen=True)
class Field:
    """One field: its name, its type, whether it may be null and is unique, and its default as Python code."""

    name: str
    kind: Kind
    nullable: bool = False
    default: str | None = None
    imports: tuple[Import, ...] = ()
    unique: bool = False

    @property
    def code(self) -> str:
        """The line of the class."""
        annotation = f"{self.kind.annotation} | None" if self.nullable else self.kind.annotation
        default = self.default or ("default=None" if self.nullable else None)
        options = ["unique=True" if self.unique and word == INDEX else word for word in self.kind.options]
        arguments = [*filter(None, (default,)), *options]
        return call(f"{self.name}: {annotation} = Field", arguments, indent=4)


@dataclass(frozen=True)
class Reference:
    """A field that names another entity: `publisher:Publisher` is the column `publisher_id`."""

    name: str
    target: str
    nullable: bool = False
    unique: bool = False


@dataclass(frozen=True)
class Choice:
    """A field with one of a few values: `kind:enum(paper,audio)` has an enum of its own, such as `BookKind`."""

    name: str
    values: tuple[str, ...]
    nullable: bool = False
    default: str | None = None

    def enum(self, entity: str) -> str:
        """The name of the enum."""
        return entity + "".join(word.capitalize() for word in self.name.split("_"))

    def enum_code(self, entity: str, words: str) -> str:
        """The class of the enum."""
        members = "".join(f'    {value.upper()} = "{value}"\n' for value in self.values)
        title = f"The {self.name.replace('_', ' ')} of {words}."
        return f'class {self.enum(entity)}(StrEnum):\n    """{title}"""\n\n{members}'

    def code(self, entity: str) -> str:
        """The line of the class."""
        enum = self.enum(entity)
        words = [INDEX]
        if self.default or self.nullable:
            words.insert(0, f"default={enum}.{self.default.upper()}" if self.default else "default=None")
        return call(f"{self.name}: {enum}{' | None' if self.nullable else ''} = Field", words, indent=4)


def parse_field(text: str) -> Field | Reference | Choice:
    """Read one field.

    Raises:
        ArgumentError: it is not written `name:type`, or its name, type or default cannot be used.
    """
    found = SPECIFICATION.fullmatch(text)
    if found is None:
        raise ArgumentError(
            f"{text!r} is not a field: write name:type, such as title:str, founded:int? or stock:int=0."
        )
    name, kind, nullable, default = found["name"], found["type"], bool(found["nullable"]), found["default"]
    unique = bool(found["unique"])
    if kind[0].isupper():
        name = name if name.endswith("_id") else f"{name}_id"
        check_name(name)
        if default is not None:
            raise ArgumentError(f"{text!r}: a reference has no default; write {found['name']}:{kind}?.")
        return Reference(name, kind, nullable, unique)
    check_name(name)
    if enum := ENUM.fullmatch(kind):
        return _choice(text, Choice(name, tuple(enum["values"].split(",")), nullable, default), unique=unique)
    if kind not in KINDS:
        raise ArgumentError(
            f"{text!r}: {kind!r} is not a type; the types are {', '.join(KINDS)}, enum(a,b), or the name of an entity."
        )
    if unique and (default is not None or INDEX not in KINDS[kind].options):
        raise ArgumentError(
            f"{text!r}: a unique field has no default, and a bool or json is not unique; leave out the !."
        )
    if default is None:
        return Field(name, KINDS[kind], nullable, None, KINDS[kind].imports, unique)
    return _with_default(text, name, kind, nullable=nullable, default=default)


def check_name(name: str) -> None:
    """Require a name that a column may have.

    Raises:
        ArgumentError: with the reason.
    """
    if not NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise ArgumentError(
            f"{name!r} is not the name of a field: write lower-case letters, digits and single _, such as 'page_count'."
        )
    reason = None
    if keyword.iskeyword(name):
        reason = "is a word of Python"
    elif name == "id":
        reason = "is the key of every entity; id:uuid makes it a UUID"
    elif name in OF_THE_ENGINE:
        reason = "is a column of every entity"
    elif name in OF_LISTS:
        reason = "is a parameter of every list"
    elif hasattr(SQLModel, name) or name.startswith("model_") or name == "registry":
        reason = "is an attribute of every table class"
    if reason is not None:
        raise ArgumentError(f"{name!r} {reason}; choose another name.")


def _choice(text: str, choice: Choice, *, unique: bool) -> Choice:
    values = choice.values
    if not all(NAME.fullmatch(value) for value in values) or len(set(values)) < len(values):
        raise ArgumentError(f"{text!r}: write different values in lower case, such as kind:enum(paper,audio).")
    if unique or (choice.default is not None and choice.default not in values):
        reason = (
            "an enum is not unique; leave out the !" if unique else f"the default must be one of {', '.join(values)}"
        )
        raise ArgumentError(f"{text!r}: {reason}.")
    return choice


def _with_default(text: str, name: str, kind: str, *, nullable: bool, default: str) -> Field:
    read = KINDS[kind].default
    if read is None:
        raise ArgumentError(f"{text!r}: a default of the type {kind} cannot be written here; add it to the class.")
    try:
        code, imports = read(default)
    except (ValueError, InvalidOperation):
        raise ArgumentError(f"{text!r}: {default!r} is not a value of the type {kind}.") from None
    return Field(name, KINDS[kind], nullable, code, (*KINDS[kind].imports, *imports))


def _text(text: str) -> tuple[str, tuple[Import, ...]]:
    if not 1 <= len(text) <= MAX_DEFAULT or not text.isprintable():
        raise ValueError(text)
    # As ruff writes it: between double quotes unless it holds one.
    return f"default={repr(text) if QUOTED.search(text) else json.dumps(text, ensure_ascii=False)}", ()


def _integer(text: str) -> tuple[str, tuple[Import, ...]]:
    value = int(text)
    if abs(value) > MAX_INTEGER:
        raise ValueError(text)
    return f"default={value}", ()


def _number(text: str) -> tuple[str, tuple[Import, ...]]:
    value = float(text)
    if not isfinite(value):
        raise ValueError(text)
    return f"default={value!r}", ()


def _truth(text: str) -> tuple[str, tuple[Import, ...]]:
    return f"default={_known(text.lower(), 'true', 'false').capitalize()}", ()


def _decimal(text: str) -> tuple[str, tuple[Import, ...]]:
    value = Decimal(text)
    if (
        not value.is_finite()
        or value != round(value, DECIMAL_PLACES)
        or abs(value) >= 10 ** (MAX_DIGITS - DECIMAL_PLACES)
    ):
        raise ValueError(text)
    return f'default=Decimal("{value:f}")', ()


def _day(text: str) -> tuple[str, tuple[Import, ...]]:
    value = date.fromisoformat(text)
    return f"default=date({value.year}, {value.month}, {value.day})", ()


def _instant(text: str) -> tuple[str, tuple[Import, ...]]:
    return f"default_factory={_known(text, 'now')}", (("rowhouse", "now"),)


def _known(text: str, *words: str) -> str:
    if text not in words:
        raise ValueError(text)
    return text


KINDS = {
    "str": Kind(
        annotation="str",
        options=("min_length=1", f"max_length={MAX_TEXT}", "index=True"),
        default=_text,
    ),
    "int": Kind(annotation="int", default=_integer),
    "float": Kind(annotation="float", default=_number),
    "bool": Kind(annotation="bool", options=("index=False",), default=_truth),
    "date": Kind(annotation="date", imports=(("datetime", "date"),), default=_day),
    "datetime": Kind(
        annotation="datetime",
        imports=(("datetime", "datetime"),),
        default=_instant,
    ),
    "decimal": Kind(
        annotation="Decimal",
        options=(f"max_digits={MAX_DIGITS}", f"decimal_places={DECIMAL_PLACES}", "index=True"),
        imports=(("decimal", "Decimal"),),
        default=_decimal,
    ),
    "uuid": Kind(annotation="UUID", imports=(("uuid", "UUID"),)),
    "json": Kind(
        annotation="dict[str, Any]",
        options=("sa_type=JSON", "index=False"),
        imports=(("typing", "Any"), ("sqlalchemy", "JSON")),
    ),
}
