"""The members of each row in a response: `fields` selects some of them, `expand` embeds related rows."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import MaxLen, MinLen
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rowhouse.core.errors import InvalidInputError
from rowhouse.query.query_string import describe_parameters, parse_query
from rowhouse.schemas.derivation import build_model

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

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Projection":
        """Return the projection in parsed parameters."""
        fields = values["fields"]
        return cls(None if fields is None else frozenset(fields), frozenset(values.get("expand") or ()))


ALL_FIELDS = Projection()


def projection_members(columns: Iterable[str], relations: Iterable[str]) -> dict[str, Any]:
    """Return the two parameters for a pydantic model. An entity without relations has no `expand`."""
    names, related = tuple(columns), tuple(relations)
    some = "Only these members of each row, separated by commas."
    members: dict[str, Any] = {"fields": (_names(names), Field(None, description=some))}
    if related:
        embedded = "Related rows to embed in each row, separated by commas; rows that you may not read are left out."
        members["expand"] = (_names(related), Field(None, description=embedded))
    return members


def _names(choices: tuple[str, ...]) -> Any:
    names: Any = Annotated[list[Literal[choices]], MinLen(1), MaxLen(MAX_NAMES)]  # type: ignore[valid-type]  # run time
    return names


class ProjectionParameters:
    """Parses the query parameters of `GET /{id}`, and describes them for OpenAPI."""

    def __init__(self, columns: Iterable[str], relations: Iterable[str], *, name: str) -> None:
        config, members = ConfigDict(extra="forbid"), projection_members(columns, relations)
        self.model: type[BaseModel] = build_model(f"{name}GetQuery", members, __config__=config)
        self._validator = TypeAdapter(self.model).validator

    def parse(self, query_string: bytes) -> Projection:
        """Return the projection in a query string.

        Raises:
            InvalidInputError: 422, a parameter is unknown, repeated or malformed.
        """
        if not query_string:
            return ALL_FIELDS
        parts = {n: text.split(",") if n in PROJECTION_WORDS else text for n, text in parse_query(query_string).items()}
        try:
            return Projection.of(self._validator.validate_python(parts).__dict__)
        except ValidationError as error:
            raise InvalidInputError.from_pydantic(error, "query") from error

    def openapi(self) -> list[dict[str, Any]]:
        """Return the parameters for OpenAPI 3.1."""
        return describe_parameters(self.model)
