"""Makes Python names for a database: classes for tables, and members for columns.

A class is a singular in CamelCase (`order_details` → `OrderDetail`), a member is in snake_case (`shopId` → `shop_id`).
A name that Python or SQLModel has already gets a `_` behind it.
"""

import builtins
import keyword
import re
import unicodedata
from collections.abc import Callable, Container

from sqlmodel import SQLModel

from rowhouse.cli.scaffold.entity import NOT_ENTITIES
from rowhouse.entities.model import plural, singular_snake

# Names that the written module imports or uses as they are.
IN_CLASSES = frozenset({"sa", "dt", "postgresql", "sqlite", "int", "str", "float", "bool", "bytes", "list", "registry"})
IN_MODULE = frozenset({*NOT_ENTITIES, *dir(builtins), "Adopted", "Optional", "Relationship"})
PROTECTED = ("model_validate", "model_dump")  # pydantic warns of other names that begin so
SAME_IN_PLURAL = ("ss", "us", "is", "news", "series", "species")
IRREGULAR = {"people": "person", "children": "child"}
SHARPS = {"ß": "ss", "ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"}


def class_name(table: str, taken: Container[str]) -> str:
    """Return the name of the class for a table: `us_states` → `UsState`, `Order Details` → `OrderDetail`.

    A name that is taken, or that Python or Rowhouse has, gets `Row` behind it, and then a number.
    """
    *first, last = singular_snake(_latin(table)).split("_") if _latin(table) else ["table"]
    name = "".join(word.capitalize() for word in [*first, singular(last)])
    name = name if name[0].isalpha() else f"Table{name}"
    return _free(name, taken, IN_MODULE, lambda number: f"{name}Row{number if number > 1 else ''}")


def member_name(column: str, taken: Container[str]) -> str:
    """Return the name of the member for a column: `Display Name` → `display_name`, `class` → `class_`."""
    name = singular_snake(_latin(column)) or "column"
    name = f"column_{name}" if name[0].isdigit() or name.startswith(PROTECTED) else name
    name = f"{name}_" if is_reserved(name) else name
    return _free(name, taken, (), lambda number: f"{name.rstrip('_')}_{number}")


def is_reserved(name: str) -> bool:
    """Return whether a member of this name would hide something else."""
    return keyword.iskeyword(name) or name in IN_CLASSES or hasattr(SQLModel, name)


def singular(word: str) -> str:
    """Return the singular of a word in lower case, whose plural is the word again; else the word."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word.endswith(SAME_IN_PLURAL):
        return word
    ends = [("ies", "y"), ("sses", "ss"), ("uses", "us"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("s", "")]
    found = (word.removesuffix(end) + other for end, other in ends if word.endswith(end))
    return next((one for one in found if one and plural(one) == word), word)


def own_path(table: str) -> str | None:
    """Return the path of a table whose plural is not regular, such as `news` or `people`; None for others."""
    words = singular_snake(_latin(table)).split("_")
    return "-".join(words) if words[-1] in (*IRREGULAR, "news", "series", "species") else None


def many(name: str) -> str:
    """Return the name of a list of a class's rows: `OrderDetail` → `order_details`."""
    return plural(name).replace("-", "_")


def _latin(name: str) -> str:
    """Return a name of letters without accents, digits and single underscores, with none at the ends."""
    spelt = "".join(SHARPS.get(letter, letter) for letter in name)
    plain = unicodedata.normalize("NFKD", spelt).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")


def _free(name: str, taken: Container[str], reserved: Container[str], other: Callable[[int], str]) -> str:
    number = 0
    found = name
    while found in taken or found in reserved:
        number += 1
        found = other(number)
    return found
