"""The values that the machine sends, each with its form in a response. They are few, so that they repeat.

The contract rejects every other value, so the model validates by lookup.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Pair = tuple[Any, Any]
TEXTS = (
    "apple", "Apple", "", "ÄPFEL", "äpfel", "Straße", "STRASSE", "Σίσυφος", "ΣΊΣΥΦΟΣ", "Ёлка", "李", "😀 smile", "\ue000",
    "100% sure", "100 sure", "snake_case", "snakeXcase", "back\\slash", "a,b", " padded ", "z",
)  # fmt: skip
CODES = tuple(f"{letter}-{number}" for letter in ("A", "a", "ß", "Я") for number in range(16))
PIECES = ("a", "Ä", "ss", "ß", "Σ", "ё", "%", "_", "\\", "0 s", "E", "李", "😀", "A-", "ZZZ")
NO_TEXTS: tuple[Any, ...] = (1, True, ["a"], "nul\x00", "x" * 81)
INSTANTS: tuple[Pair, ...] = (
    ("2030-01-01T00:00:00Z", "2030-01-01T00:00:00Z"),
    ("2030-01-01T02:00:00+02:00", "2030-01-01T00:00:00Z"),
    ("2030-01-01T00:00:00.000001Z", "2030-01-01T00:00:00.000001Z"),
    ("1969-12-31T23:59:59.5-01:00", "1970-01-01T00:59:59.500000Z"),
    ("2029-12-31T23:30:00-00:45", "2030-01-01T00:15:00Z"),
)
NUMBERS: tuple[Pair, ...] = (
    (0, 0.0),
    (7.5, 7.5),
    ("7.50", 7.5),
    ("7.51", 7.51),
    (-3, -3.0),
    ("12345678.91", 12345678.91),
)


def same(*values: Any) -> tuple[Pair, ...]:
    """Values that are shown as they were sent."""
    return tuple((value, value) for value in values)


@dataclass(frozen=True)
class Member:
    """A member that a client may set.

    `kind` decides its operators; a reference's values are ids, known only as they come.
    """

    kind: str
    pairs: tuple[Pair, ...] = ()
    nullable: bool = True
    default: Any = None
    required: bool = False
    refused: tuple[Any, ...] = ()
    target: str | None = None


@dataclass(frozen=True)
class Plan:
    """What the contract and the registration line say of an entity."""

    path: str
    owner: str
    private: bool
    unique: str
    search: tuple[str, ...]
    members: dict[str, Member] = field(default_factory=dict)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: FBT001  hypothesis calls it to print a step
        printer.text(self.path.upper())

    @property
    def kinds(self) -> dict[str, str]:
        """Every column that a list filters and sorts by."""
        own = {name: member.kind for name, member in self.members.items()}
        return {"id": "integer", self.owner: "integer", **own, "created_at": "instant", "updated_at": "instant"}


CRATES = Plan(
    "crates", owner="keeper_id", private=False, unique="label", search=("label", "place"),
    members={
        "label": Member("text", same(None, *CODES[:24]), refused=NO_TEXTS),
        "place": Member("text", same(*TEXTS), nullable=False, default="hall", refused=(None, *NO_TEXTS)),
    },
)  # fmt: skip
EXHIBITS = Plan(
    "exhibits", owner="owner_id", private=True, unique="code", search=("title", "note"),
    members={
        "code": Member("text", same(*CODES), nullable=False, required=True, refused=(None, *NO_TEXTS)),
        "title": Member("text", same(*TEXTS), nullable=False, required=True, refused=(None, *NO_TEXTS)),
        "note": Member("text", same(None, *TEXTS), refused=NO_TEXTS),
        "colour": Member("choice", same(None, "red", "green", "blue"), refused=("RED", "", 1)),
        "price": Member("decimal", ((None, None), *NUMBERS), refused=(True, "1.234", "x", 123456789, "1e3")),
        "seen_at": Member("instant", ((None, None), *INSTANTS), refused=("2030-01-01T00:00:00", 0, "2030-02-30T00:00:00Z")),
        "rank": Member("integer", same(0, 1, -1, 2**31 - 1), nullable=False, default=0, refused=(None, True, 1.5, "1", 2**31)),
        "crate_id": Member("integer", target="crates", refused=("1", True, 2**31)),
        "twin_id": Member("integer", target="exhibits", refused=("1", True, 2**31)),
    },
)  # fmt: skip
PLANS = {plan.path: plan for plan in (CRATES, EXHIBITS)}


def comparable(kind: str, value: Any) -> Any:
    """A shown value as Python compares it; text by code point."""
    return datetime.fromisoformat(value) if kind == "instant" else value
