"""Makes rows that only their owner sees, and rows of another account beside them; see `test_ownership`."""

import secrets as randomness
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from httpx2 import Response

from rowhouse.core.errors import PermissionDeniedError
from rowhouse.core.security import Caller
from rowhouse.crud.base import CRUDBase
from rowhouse.history.deleted_rows import deleted_rows
from rowhouse.history.entries import entries
from rowhouse.query.resource import Relation
from rowhouse.registration.registry import Registration
from tests.conftest import sign_up
from tests.contract.deleted_rows import below
from tests.contract.entity_client import BODIES, EntityClient, Headers, Row
from tests.isolation.probes import Reference, Secret, change_of, creatable, linking, referring
from tests.sample_entities.odd.registry import SICK

# What makes a row of an entity with a `scope` of its own invisible to all but administrators.
HIDDEN_MEMBERS: dict[str, Callable[[EntityClient], Row]] = {
    "parcels": lambda _house: {"status": "hidden"},
    "labels": lambda _library: {"is_hidden": True},
    "branches": lambda entity: {"parent_id": entity.make(name=SICK, parent_id=None)["id"]},
}


def hides_rows(registration: Registration) -> bool:
    """Whether there are rows that not every reader sees."""
    return registration.resource.owner_only or registration.crud.scope is not CRUDBase.scope


def shows_but_keeps(registration: Registration) -> bool:
    """Whether others read a row that they may not change."""
    return registration.resource.owner is not None and not registration.resource.owner_only


def body_of(entity: EntityClient, who: Headers, **values: Any) -> Row:
    """A valid body without nulls, with texts that are nowhere else.

    What it refers to, and is private, is the caller's own.
    """
    ruled = BODIES[entity.resource.path](0) if entity.resource.path in BODIES else {}
    private = {name: entity.running_app.entity_of(column.table.name) for name, column in entity.references.items()}
    for name, target in private.items():
        if target.resource.owner_only and name not in values:
            bare = {name: None} if target.resource is entity.resource else {}
            values[name] = make(target, who, **bare).json()["id"]
    body = entity.body(**values)
    for name in body.keys() - values.keys() - ruled.keys() - private.keys():
        schema = entity.create[name]
        if entity.running_app.bodies.kind(schema) == "string":
            body[name] = new_mark()
        elif body[name] is None:
            body[name] = entity.value(name, schema, 2)
    return body


def new_mark() -> str:
    """A text that is nowhere else."""
    return f"mark {randomness.token_hex(5)}"


def make(entity: EntityClient, who: Headers, **values: Any) -> Response:
    """The answer that brought a new row."""
    answer = entity.call("POST", "", who, json=body_of(entity, who, **values))
    assert answer.status_code == 201, answer.text
    return answer


def cursors(entity: EntityClient, who: Headers, **query: Any) -> tuple[str, ...]:
    """A cursor behind the first row of each sort by a column of its own."""
    words = [sign + name for name in entity.resource.parameters.sortable for sign in ("", "-")]
    found = [entity.list(who, sort=word, size=1, **query)["next_cursor"] for word in words]
    return tuple(cursor for cursor in found if cursor)


def make_own(entity: EntityClient, stranger: Headers) -> Response:
    """A row of the stranger's, or one in their sight where they may write none."""
    try:
        entity.resource.write.check(Caller(0, entity.running_app.api.role))
    except PermissionDeniedError:
        stranger = entity.running_app.admin
    return make(entity, stranger)


def hidden(entity: EntityClient) -> Row:
    """The values that hide a row from the stranger where its owner does not."""
    return {} if entity.resource.owner_only else HIDDEN_MEMBERS[entity.resource.path](entity)


def secret_of(entity: EntityClient, owner: Headers, stranger: Headers) -> Secret:
    """A row between two of the owner's and two of the stranger's, changed once like the stranger's first."""
    values = hidden(entity) if hides_rows(entity.registration) else {}
    own = changed(entity, make_own(entity, stranger).json()).json()
    first = make(entity, owner, **values).json()["id"]
    answer = changed(entity, make(entity, owner, **values).json())
    row = answer.json()
    make(entity, owner, **values)
    make_own(entity, stranger)
    theirs = cursors(entity, owner, id__in=f"{first},{row['id']}")
    found, into = histories(entity, row, own)
    near = references_to(entity, row, stranger)
    return Secret(entity, row, answer.headers["etag"], theirs, own, cursors(entity, stranger), found, into, near)


def references_to(entity: EntityClient, row: Row, stranger: Headers) -> tuple[Reference, ...]:
    """Rows of the stranger's that could refer to the row. An administrator has linked those that take links."""
    found = [
        Reference(other, member, False, make_own(other, stranger).json())
        for other, member in referring(entity)
        if other.resource is not entity.resource and member in other.update
    ]
    for other, member in linking(entity):
        near = make_own(other, stranger).json()
        answer = other.call("PATCH", f"/{near['id']}", json={member: [row["id"]]})
        assert answer.status_code == 200, answer.text
        found.append(Reference(other, member, True, answer.json()))
    return tuple(found)


def changed(entity: EntityClient, row: Row) -> Response:
    """A row with another value in one member, a mark again where the member takes any text."""
    change = change_of(entity, row)
    change |= {name: new_mark() for name in change if str(row[name]).startswith("mark ")}
    answer = entity.call("PATCH", f"/{row['id']}", json=change)
    assert answer.status_code == 200, answer.text
    return answer


def histories(entity: EntityClient, row: Row, own: Row) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """The entries of a row, and cursors behind the first entry of both; nothing where no history is kept."""
    if not entity.resource.history:
        return (), ()
    pages = [entity.call("GET", f"/{one['id']}/history", params={"size": 1}).json() for one in (row, own)]
    found = entity.call("GET", f"/{row['id']}/history").json()["items"]
    assert [entry["after"] for entry in found][1:] == [row]
    return tuple(found), tuple(page["next_cursor"] for page in pages)


def callers(entity: EntityClient) -> tuple[Headers, Headers]:
    """The owner of the row, and a stranger who has nothing yet."""
    owner = entity.running_app.caller("owner") if entity.owner else entity.running_app.admin
    return owner, sign_up(entity.running_app.client, entity.running_app.api.role)


def forget(secret: Secret) -> None:
    """Leave nothing of a deleted row, as if it had never been."""
    name, key = secret.entity.resource.table.name, str(secret.row["id"])
    with below(secret.entity) as connection:
        for table in (deleted_rows, entries):
            connection.execute(sa.delete(table).where(table.c.entity == name, table.c.row_id == key))


def linked(near: EntityClient, relation: Relation, secret: Secret, stranger: Headers) -> Row:
    """A row that leads to the private one.

    The one that hides it, or one in the stranger's sight that is made to below the rules.
    """
    if relation.remote in (secret.entity.owner, *hidden(secret.entity)):
        return {"id": secret.row[relation.remote]}
    return made_to_lead(near, relation, secret.entity, secret.row, stranger)


def made_to_lead(near: EntityClient, relation: Relation, entity: EntityClient, goal: Row, stranger: Headers) -> Row:
    """A new row in the stranger's sight, whose relation leads to the row `goal` of `entity`."""
    row: Row = make_own(near, stranger).json()
    if relation.link is not None:
        pair = {relation.link.near: row[relation.local], relation.link.far: goal[relation.remote]}
        between = [one for one in creatable(near.running_app) if one.resource.table is relation.link.table]
        if between:  # an entity of its own
            make(between[0], stranger, **pair)
            return row
        with below(near) as connection:
            connection.execute(sa.insert(relation.link.table).values(pair))
        return row
    changing, column, changed, value = (
        (entity, relation.remote, goal, row[relation.local])
        if relation.many
        else (near, relation.local, row, goal[relation.remote])
    )
    table = changing.resource.table
    value = table.c[column].type.python_type(value)
    with below(changing) as connection:
        connection.execute(sa.update(table).where(table.c.id == changed["id"]).values({column: value}))
    return row
