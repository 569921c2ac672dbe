"""The members of requests that write many-to-many relations, such as `tag_ids`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, NamedTuple, Union

from annotated_types import MaxLen
from pydantic import MISSING, Field

from rowhouse.schemas.columns import Column
from rowhouse.schemas.derivation import Schemas, build_model

MAX_LINKS = 1000
LINKS = "x-links"


class LinkMember(NamedTuple):
    """A member that writes a many-to-many relation: the key of the related rows, and their path."""

    key: Column
    path: str


def with_link_members(schemas: Schemas, members: Mapping[str, LinkMember]) -> Schemas:
    """Return the schemas with these members in Create, Update and the element of a batch update."""
    if not members:
        return schemas
    lists = {name: _list_of(one.key.base) for name, one in members.items()}
    created: dict[str, Any] = {
        name: (lists[name], Field(default_factory=list, **_described(one, "All related rows")))
        for name, one in members.items()
    }
    changed: dict[str, Any] = {
        name: (Union[lists[name], MISSING], Field(MISSING, **_described(one, "Replaces the related rows")))  # noqa: UP007  a runtime value
        for name, one in members.items()
    }
    create, update, batch_update = schemas.create, schemas.update, schemas.batch_update
    return replace(
        schemas,
        create=build_model(create.__name__, created, __base__=create),
        update=build_model(update.__name__, changed, __base__=update),
        batch_update=build_model(batch_update.__name__, changed, __base__=batch_update),
    )


def _list_of(key: Any) -> Any:
    keys: Any = list[key]
    return Annotated[keys, MaxLen(MAX_LINKS)]


def _described(member: LinkMember, text: str) -> dict[str, Any]:
    described = f"{text}, by their {member.key.name}. A set; each must be a row of /{member.path}."
    return {"description": described, "json_schema_extra": {LINKS: member.path}}
