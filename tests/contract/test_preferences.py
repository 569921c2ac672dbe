"""`Prefer: return=minimal` (RFC 7240): a write without the rows in its response."""

import pytest

from rowhouse.operations.preference import return_preference
from tests.conftest import unique
from tests.contract.entity_client import EntityClient, RunningApp
from tests.contract.problems import problem
from tests.contract.registrations import every_entity, few

MINIMAL = {"Prefer": "return=minimal"}
WHOLE = {"Prefer": "respond-async, return=representation; wait=3"}


@every_entity("create", "update", "put", "get", where=few)
def test_a_write_without_a_body_returns_the_version(entity: EntityClient) -> None:
    """201 with `Location` for a create, 204 for a change; the `ETag` is that of the row."""
    made = entity.call("POST", json=entity.body(), extra=MINIMAL)
    assert (made.status_code, made.content) == (201, b"")
    assert (made.headers["preference-applied"], made.headers["vary"]) == ("return=minimal", "Prefer")
    assert "content-type" not in made.headers
    tail = made.headers["location"].removeprefix(entity.path)
    row = entity.call("GET", tail)
    assert made.headers["etag"] == row.headers.get("etag", made.headers["etag"])  # notices are read by hand
    name = next(name for name in entity.update if name not in entity.references)
    for method in ("PATCH", "PUT"):
        changed = entity.call(method, tail, json=entity.change(row.json(), name), extra=MINIMAL)
        assert (changed.status_code, changed.content) == (204, b"")
        assert changed.headers["preference-applied"] == "return=minimal"
        row = entity.call("GET", tail)
        assert changed.headers["etag"] == row.headers.get("etag", changed.headers["etag"])
    whole = entity.call("PATCH", tail, json=entity.change(row.json(), name), extra=WHOLE)
    assert (whole.status_code, whole.json()["id"]) == (200, row.json()["id"])
    assert whole.headers["preference-applied"] == "return=representation"


@every_entity("create", "update", where=few)
def test_batches_prefer_too(entity: EntityClient) -> None:
    """201 without the rows, 204 for changes; another preference changes nothing."""
    made = entity.call("POST", "/batch", json=[entity.body()], extra=MINIMAL)
    assert (made.status_code, made.content) == (201, b"")
    rows = entity.call("POST", "/batch", json=[entity.body()], extra={"Prefer": "wait=3"})
    assert (rows.status_code, "preference-applied" in rows.headers) == (201, False)
    (row,) = rows.json()
    name = next(name for name in entity.update if name not in entity.references)
    changes = [{"id": row["id"], **entity.change(row, name)}]
    changed = entity.call("PATCH", "/batch", json=changes, extra=MINIMAL)
    assert (changed.status_code, changed.content) == (204, b"")
    assert changed.headers["preference-applied"] == "return=minimal"


def test_an_upsert_prefers_and_a_replay_is_the_first_answer(shop_app: RunningApp) -> None:
    """Whatever the second request prefers; an error has its body."""
    entity = shop_app.entity("books")
    done = entity.call("POST", "/batch?on=title", json=[entity.body()], extra=MINIMAL)
    assert (done.status_code, done.content) == (204, b"")
    body = entity.body()
    key = {"Idempotency-Key": unique("key")}
    first = entity.call("POST", json=body, extra=MINIMAL | key)
    again = entity.call("POST", json=body, extra=key)
    sent = {name: value for name, value in again.headers.items() if name != "idempotent-replayed"}
    assert (again.status_code, again.content) == (201, b"")
    own = ("location", "etag", "preference-applied", "vary", "content-type")
    assert [sent.get(name) for name in own] == [first.headers.get(name) for name in own]
    assert again.headers["idempotent-replayed"] == "true"
    assert problem(entity.call("POST", json=body, extra=MINIMAL), 409)["code"] == "duplicate"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("return=minimal", "minimal"),
        ('Return="minimal"', "minimal"),
        ("respond-async,return=minimal;x=1", "minimal"),
        ('foo="a,return=representation", return = minimal', "minimal"),
        ('foo; bar="x, y", return=representation, return=minimal', "representation"),
        ("return=minimal, return=representation", "minimal"),
        ("return", None),
        ("return=some", None),
        ("return=some, return=minimal", None),
        ("", None),
        (",, return=minimal,", "minimal"),
        ("return minimal", None),
    ],
)
def test_the_first_return_counts(given: str, wanted: str | None) -> None:
    """Names are compared without case, values may be quoted; what cannot be parsed is ignored."""
    assert return_preference(given) == wanted
