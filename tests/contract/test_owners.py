"""Rows with an owner, and secrets: who sees what (docs/contract.md §1, §6)."""

import json
from typing import Any

from rowhouse.entities.model import Mark
from rowhouse.registration.registry import Registration
from tests.contract.entity_client import House, Row
from tests.contract.problems import problem
from tests.contract.registrations import every_house

HIDDEN_VALUES = ("hidden-api-key", "hidden-picture", "hidden-hint", "987654321", "$2b$")


def private(registration: Registration) -> bool:
    """Whether only the owner reads a row."""
    return registration.resource.owner_only


def open_to_readers(registration: Registration) -> bool:
    """Whether a row has an owner, and others read it."""
    return registration.resource.owner is not None and not registration.resource.owner_only


def owned(registration: Registration) -> bool:
    """Whether a row has an owner."""
    return registration.resource.owner is not None


def has_secrets(registration: Registration) -> bool:
    """Whether a column is secret."""
    return any(Mark.SECRET in column.marks for column in registration.resource.columns.values())


def row_of_owner(house: House) -> Row:
    """A row of a driver's."""
    own: dict[str, Any] = {"vehicle_id": None} if "vehicle_id" in house.create else {}
    return house.make(house.world.caller("owner"), **own)


@every_house("create", where=owned)
def test_the_owner_is_the_caller(house: House) -> None:
    """Not what the body says, and an administrator's row is the administrator's."""
    owner = house.world.client.get("/api/v1/users/me", headers=house.world.caller("owner")).json()
    member = str(house.owner)
    assert row_of_owner(house)[member] == owner["id"]
    assert house.make()[member] == house.world.admin_id
    assert member not in house.create
    assert member not in house.update


@every_house("list", "get", "update", "put", "delete", where=private)
def test_others_do_not_see_a_private_row(house: House) -> None:
    """404 as if it were not there, nothing in the list nor in its total; the row stays as it was."""
    row, stranger = row_of_owner(house), house.world.caller("stranger")
    change = house.change(row, next(n for n in house.update if n not in house.references))
    for method, body in (("GET", None), ("PATCH", change), ("PUT", change), ("DELETE", None)):
        answer = house.call(method, f"/{row['id']}", stranger, json=body)
        missing = house.call(method, "/2147483647", stranger, json=body)
        if answer.status_code == 403:
            assert (method, missing.status_code) == ("DELETE", 403)
            continue
        problem(answer, 404, "not_found")
        assert answer.json()["detail"].replace(str(row["id"]), "2147483647") == missing.json()["detail"]
    page = house.list(stranger, id=row["id"])
    assert (page["items"], page["total"]) == ([], 0)
    assert house.list(stranger, **{str(house.owner): row[str(house.owner)]})["total"] == 0
    assert house.stored(row) == row


@every_house("list", "get", "update", "put", "delete", where=owned)
def test_the_owner_and_administrators_see_and_change_a_row(house: House) -> None:
    """In the list, by its id, and all verbs."""
    member = next(n for n in house.update if n not in house.references)
    for who in (house.world.caller("owner"), house.world.admin):
        row = row_of_owner(house)
        assert house.list(who, id=row["id"])["items"] == [row]
        assert house.call("GET", f"/{row['id']}", who).json() == row
        for method in ("PATCH", "PUT"):
            answer = house.call(method, f"/{row['id']}", who, json=house.change(house.stored(row), member))
            assert answer.status_code == 200, answer.text
            assert answer.json()[str(house.owner)] == row[str(house.owner)]
    assert house.call("DELETE", f"/{row['id']}", house.world.admin).status_code == 204


@every_house("list", "get", "update", "put", "delete", where=open_to_readers)
def test_others_read_but_do_not_change_an_open_row(house: House) -> None:
    """403, for they see it; without signing in, 401. A row that is not there is 404."""
    row, stranger = row_of_owner(house), house.world.caller("stranger")
    change = house.change(row, next(n for n in house.update if n not in house.references))
    for who in (stranger, {}):
        assert house.call("GET", f"/{row['id']}", who).json() == row
        assert house.list(who, id=row["id"])["items"] == [row]
    for method, body in (("PATCH", change), ("PUT", change), ("DELETE", None)):
        problem(house.call(method, f"/{row['id']}", stranger, json=body), 403, "permission_denied")
        problem(house.call(method, f"/{row['id']}", {}, json=body), 401, "not_authenticated")
        problem(house.call(method, "/2147483647", stranger, json=body), 404, "not_found")
    assert house.stored(row) == row


@every_house("list", "get", "update", where=has_secrets)
def test_a_secret_is_in_no_answer(house: House) -> None:
    """Neither its name nor its value, whatever is asked; nor in any error."""
    row = house.make()
    secrets = house.marked(Mark.SECRET)
    member = next(n for n in house.update if n not in house.references)
    answers = [
        house.call("POST", json=house.body()),
        house.call("GET", f"/{row['id']}"),
        house.call("GET"),
        house.call("PATCH", f"/{row['id']}", json=house.change(row, member)),
        house.call("POST", json=house.body(**{n: row[n] for n in house.create if n in row})),
        house.call("PATCH", f"/{row['id']}", json={member: [1]}),
    ]
    for answer in answers:
        assert not secrets & set(json.loads(answer.text))
        assert [name for name in secrets if f'"{name}"' in answer.text] == []
        assert [value for value in HIDDEN_VALUES if value in answer.text] == []


@every_house(where=has_secrets)
def test_a_secret_is_in_no_schema(house: House) -> None:
    """Not in a body, not in an answer, not in a parameter."""
    secrets = house.marked(Mark.SECRET)
    assert secrets
    assert not secrets & (set(house.create) | set(house.update) | set(house.public))
    assert [name for name in house.parameters if name.split("__")[0] in secrets] == []
    assert not {name.lstrip("-") for name in house.parameters["sort"]["items"]["enum"]} & secrets
