"""Makes rows that only their owner sees, and the rows of strangers beside them; see `test_ownership`."""

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
from tests.contract.entity_client import BODIES, Headers, House, Row
from tests.isolation.probes import Secret, change_of
from tests.sample_entities.odd.registry import SICK

# What makes a row of an entity with a `scope` of its own invisible to all but administrators.
HIDING: dict[str, Callable[[House], Row]] = {
    "parcels": lambda _house: {"status": "hidden"},
    "branches": lambda house: {"parent_id": house.make(name=SICK, parent_id=None)["id"]},
}


def hides_rows(registration: Registration) -> bool:
    """Whether there are rows that not every reader sees."""
    return registration.resource.owner_only or registration.crud.scope is not CRUDBase.scope


def shows_but_keeps(registration: Registration) -> bool:
    """Whether others read a row that they may not change."""
    return registration.resource.owner is not None and not registration.resource.owner_only


def body_of(house: House, who: Headers, **values: Any) -> Row:
    """A valid body without nulls, with texts that are nowhere else; what it refers to, and is private, is the caller's own."""
    ruled = BODIES[house.plan.path](0) if house.plan.path in BODIES else {}
    private = {name: house.world.house_of(column.table.name) for name, column in house.references.items()}
    for name, target in private.items():
        if target.plan.owner_only and name not in values:
            bare = {name: None} if target.plan is house.plan else {}
            values[name] = make(target, who, **bare).json()["id"]
    body = house.body(**values)
    for name in body.keys() - values.keys() - ruled.keys() - private.keys():
        schema = house.create[name]
        if house.world.bodies.kind(schema) == "string":
            body[name] = new_mark()
        elif body[name] is None:
            body[name] = house.value(name, schema, 2)
    return body


def new_mark() -> str:
    """A text that is nowhere else."""
    return f"mark {randomness.token_hex(5)}"


def make(house: House, who: Headers, **values: Any) -> Response:
    """The answer that brought a new row."""
    answer = house.call("POST", "", who, json=body_of(house, who, **values))
    assert answer.status_code == 201, answer.text
    return answer


def cursors(house: House, who: Headers, **query: Any) -> tuple[str, ...]:
    """A cursor behind the first row of each sort."""
    words = house.parameters["sort"]["items"]["enum"]
    found = [house.list(who, sort=word, size=1, **query)["next_cursor"] for word in words]
    return tuple(cursor for cursor in found if cursor)


def make_own(house: House, stranger: Headers) -> Response:
    """A row of the stranger's, or one in their sight where they may write none."""
    try:
        house.plan.write.check(Caller(0, "driver"))
    except PermissionDeniedError:
        stranger = house.world.admin
    return make(house, stranger)


def hidden(house: House) -> Row:
    """The values that hide a row from the stranger where its owner does not."""
    return {} if house.plan.owner_only else HIDING[house.plan.path](house)


def secret_of(house: House, owner: Headers, stranger: Headers) -> Secret:
    """A row between two of the owner's and two of the stranger's, changed once like the stranger's first."""
    values = hidden(house) if hides_rows(house.registration) else {}
    own = changed(house, make_own(house, stranger).json()).json()
    first = make(house, owner, **values).json()["id"]
    answer = changed(house, make(house, owner, **values).json())
    row = answer.json()
    make(house, owner, **values)
    make_own(house, stranger)
    theirs = cursors(house, owner, id__in=f"{first},{row['id']}")
    found, into = histories(house, row, own)
    return Secret(house, row, answer.headers["etag"], theirs, own, cursors(house, stranger), found, into)


def changed(house: House, row: Row) -> Response:
    """A row with another value in one member, a mark again where the member takes any text."""
    change = change_of(house, row)
    change |= {name: new_mark() for name in change if str(row[name]).startswith("mark ")}
    answer = house.call("PATCH", f"/{row['id']}", json=change)
    assert answer.status_code == 200, answer.text
    return answer


def histories(house: House, row: Row, own: Row) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """The entries of a row, and cursors behind the first entry of both; nothing where no history is kept."""
    if not house.plan.history:
        return (), ()
    pages = [house.call("GET", f"/{one['id']}/history", params={"size": 1}).json() for one in (row, own)]
    found = house.call("GET", f"/{row['id']}/history").json()["items"]
    assert [entry["after"] for entry in found][1:] == [row]
    return tuple(found), tuple(page["next_cursor"] for page in pages)


def callers(house: House) -> tuple[Headers, Headers]:
    """The owner of the row, and a stranger who has nothing yet."""
    owner = house.world.caller("owner") if house.owner else house.world.admin
    return owner, sign_up(house.world.client, "driver")


def forget(secret: Secret) -> None:
    """Leave nothing of a deleted row, as if it had never been."""
    name, key = secret.house.plan.table.name, str(secret.row["id"])
    with below(secret.house) as connection:
        for table in (deleted_rows, entries):
            connection.execute(sa.delete(table).where(table.c.entity == name, table.c.row_id == key))


def linked(near: House, relation: Relation, secret: Secret, stranger: Headers) -> Row:
    """A row that leads to the private one: the one that hides it, or one in the stranger's sight that is made to below the rules."""
    if relation.remote in (secret.house.owner, *hidden(secret.house)):
        return {"id": secret.row[relation.remote]}
    row: Row = make_own(near, stranger).json()
    house, column, value, changing = (
        (secret.house, relation.remote, row[relation.local], secret.row)
        if relation.many
        else (near, relation.local, secret.row[relation.remote], row)
    )
    table = house.plan.table
    with below(house) as connection:
        connection.execute(sa.update(table).where(table.c.id == changing["id"]).values({column: value}))
    return row
