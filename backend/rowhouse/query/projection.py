"""The members of each row in a response: `fields` selects some of them, `expand` embeds related rows."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import MaxLen, MinLen

from rowhouse.query.parameters import Parameter, QueryParameters
from rowhouse.query.query_string import parse_query

PROJECTION_WORDS = frozenset({"fields", "expand"})
MAX_NAMES = 100


class Projection(NamedTuple):
    """The members to return, None for all of them, and the names of the relations to embed."""

    fields: frozenset[str] | None = None
    expand: frozenset[str] = frozenset()

    @property
    def is_full(self) -> bool:
        """Whether rows are returned as they are."""
        return self.fields is None and not self.expand

    @property
    def hops(self) -> int:
        """How far the relations lead: 2 with a name such as `pet.owner`, 1 otherwise."""
        return 2 if any("." in name for name in self.expand) else 1

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Projection":
        """Return the projection in parsed parameters."""
        fields = values.get("fields")
        return cls(None if fields is None else frozenset(fields), frozenset(values.get("expand") or ()))


ALL_FIELDS = Projection()


def projection_parameters(columns: Iterable[str], relations: Iterable[str]) -> dict[str, Parameter]:
    """Return the two parameters. An entity without relations has no `expand`."""
    names, related = tuple(columns), tuple(relations)
    found = {"fields": Parameter(_names(names), "Only these members of each row, separated by commas.")}
    if related:
        text = "Relations whose rows to embed, separated by commas. Rows that you may not read are left out."
        if any("." in name for name in related):
            text += " After a dot, a relation of the related rows."
        found["expand"] = Parameter(_names(related), text)
    return found


def _names(choices: tuple[str, ...]) -> Any:
    names: Any = Annotated[list[Literal[choices]], MinLen(1), MaxLen(MAX_NAMES)]  # type: ignore[valid-type]  # run time
    return names


class ProjectionParameters:
    """Parses the query parameters of `GET /{id}`, and describes them for OpenAPI."""

    def __init__(self, columns: Iterable[str], relations: Iterable[str]) -> None:
        described = projection_parameters(columns, relations)
        self._parameters = QueryParameters(described, described.__getitem__)
        self.openapi = self._parameters.openapi

    def parse(self, query_string: bytes) -> Projection:
        """Return the projection in a query string.

        Raises:
            InvalidInputError: 422, a parameter is unknown, repeated or malformed.
        """
        if not query_string:
            return ALL_FIELDS
        parts = {n: text.split(",") if n in PROJECTION_WORDS else text for n, text in parse_query(query_string).items()}
        return Projection.of(self._parameters.validate(parts))
