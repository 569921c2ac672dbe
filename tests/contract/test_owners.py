"""Rows with an owner, and secrets: who sees which (docs/contract.md §1, §6)."""

import json
from typing import Any

from rowhouse.entities.model import Mark
from rowhouse.registration.registry import Registration
from tests.contract.entity_client import EntityClient, Row
from tests.contract.problems import problem
from tests.contract.registrations import every_entity

HIDDEN_VALUES = ("hidden-api-key", "hidden-picture", "hidden-hint", "987654321", "$2b$")


def private(registration: Registration) -> bool:
    """Return True if only the owner reads a row."""
    return registration.resource.owner_only


def open_to_readers(registration: Registration) -> bool:
    """Return True if a row has an owner, and others read it."""
    return registration.resource.owner is not None and not registration.resource.owner_only


def owned(registration: Registration) -> bool:
    """Return True if a row has an owner."""
    return registration.resource.owner is not None


def has_secrets(registration: Registration) -> bool:
    """Return True if a column is secret."""
    return any(Mark.SECRET in column.marks for column in registration.resource.columns.values())


def row_of_owner(entity: EntityClient) -> Row:
    """Create a row of a driver's."""
    own: dict[str, Any] = {"vehicle_id": None} if "vehicle_id" in entity.create else {}
    return entity.make(entity.running_app.caller("owner"), **own)


@every_entity("create", where=owned)
def test_the_owner_is_the_caller(entity: EntityClient) -> None:
    """The body cannot set it. An administrator's row belongs to the administrator."""
    owner = entity.running_app.client.get("/api/v1/users/me", headers=entity.running_app.caller("owner")).json()
    member = str(entity.owner)
    assert row_of_owner(entity)[member] == owner["id"]
    assert entity.make()[member] == entity.running_app.admin_id
    assert member not in entity.create
    assert member not in entity.update


@every_entity("list", "get", "update", "put", "delete", where=private)
def test_others_do_not_see_a_private_row(entity: EntityClient) -> None:
    """404 as if it did not exist, and it is neither in the list nor in its total. The row stays as it was."""
    row, stranger = row_of_owner(entity), entity.running_app.caller("stranger")
    change = entity.change(row, next(n for n in entity.update if n not in entity.references))
    for method, body in (("GET", None), ("PATCH", change), ("PUT", change), ("DELETE", None)):
        answer = entity.call(method, f"/{row['id']}", stranger, json=body)
        missing = entity.call(method, "/2147483647", stranger, json=body)
        if answer.status_code == 403:
            assert (method, missing.status_code) == ("DELETE", 403)
            continue
        problem(answer, 404, "not_found")
        assert answer.json()["detail"].replace(str(row["id"]), "2147483647") == missing.json()["detail"]
    page = entity.list(stranger, id=row["id"])
    assert (page["items"], page["total"]) == ([], 0)
    assert entity.list(stranger, **{str(entity.owner): row[str(entity.owner)]})["total"] == 0
    assert entity.stored(row) == row


@every_entity("list", "get", "update", "put", "delete", where=owned)
def test_the_owner_and_administrators_see_and_change_a_row(entity: EntityClient) -> None:
    """In the list, by its id, and with every verb."""
    member = next(n for n in entity.update if n not in entity.references)
    for who in (entity.running_app.caller("owner"), entity.running_app.admin):
        row = row_of_owner(entity)
        assert entity.list(who, id=row["id"])["items"] == [row]
        assert entity.call("GET", f"/{row['id']}", who).json() == row
        for method in ("PATCH", "PUT"):
            answer = entity.call(method, f"/{row['id']}", who, json=entity.change(entity.stored(row), member))
            assert answer.status_code == 200, answer.text
            assert answer.json()[str(entity.owner)] == row[str(entity.owner)]
    assert entity.call("DELETE", f"/{row['id']}", entity.running_app.admin).status_code == 204


@every_entity("list", "get", "update", "put", "delete", where=open_to_readers)
def test_others_read_but_do_not_change_an_open_row(entity: EntityClient) -> None:
    """403, because they see it; 401 without an account. A missing row is 404."""
    row, stranger = row_of_owner(entity), entity.running_app.caller("stranger")
    change = entity.change(row, next(n for n in entity.update if n not in entity.references))
    for who in (stranger, {}):
        assert entity.call("GET", f"/{row['id']}", who).json() == row
        assert entity.list(who, id=row["id"])["items"] == [row]
    for method, body in (("PATCH", change), ("PUT", change), ("DELETE", None)):
        problem(entity.call(method, f"/{row['id']}", stranger, json=body), 403, "permission_denied")
        problem(entity.call(method, f"/{row['id']}", {}, json=body), 401, "not_authenticated")
        problem(entity.call(method, "/2147483647", stranger, json=body), 404, "not_found")
    assert entity.stored(row) == row


@every_entity("list", "get", "update", where=has_secrets)
def test_a_secret_is_in_no_answer(entity: EntityClient) -> None:
    """Neither its name nor its value, for any request, also not in an error."""
    row = entity.make()
    secrets = entity.marked(Mark.SECRET)
    member = next(n for n in entity.update if n not in entity.references)
    answers = [
        entity.call("POST", json=entity.body()),
        entity.call("GET", f"/{row['id']}"),
        entity.call("GET"),
        entity.call("PATCH", f"/{row['id']}", json=entity.change(row, member)),
        entity.call("POST", json=entity.body(**{n: row[n] for n in entity.create if n in row})),
        entity.call("PATCH", f"/{row['id']}", json={member: [1]}),
    ]
    for answer in answers:
        assert not secrets & set(json.loads(answer.text))
        assert [name for name in secrets if f'"{name}"' in answer.text] == []
        assert [value for value in HIDDEN_VALUES if value in answer.text] == []


@every_entity(where=has_secrets)
def test_a_secret_is_in_no_schema(entity: EntityClient) -> None:
    """Neither of a body, nor of a response, nor of a parameter."""
    secrets = entity.marked(Mark.SECRET)
    assert secrets
    assert not secrets & (set(entity.create) | set(entity.update) | set(entity.public))
    assert [name for name in entity.parameters if name.split("__")[0] in secrets] == []
    assert not {name.lstrip("-") for name in entity.parameters["sort"]["items"]["enum"]} & secrets
