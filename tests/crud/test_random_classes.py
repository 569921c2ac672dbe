"""Classes made at random (tests/crud/random_classes.py): each is refused with a sentence, or keeps the contract.

A longer run over other classes, which counts the refused and the held: CLASSES=200 CLASSES_SEED=$RANDOM
.venv/bin/python -m pytest --hypothesis-show-statistics tests/crud/test_random_classes.py
"""

import json
import os
from typing import Any

import pytest
import sqlalchemy as sa
from httpx2 import Response
from hypothesis import HealthCheck, Phase, event, example, given, seed, settings
from hypothesis import strategies as some

from rowhouse.auth.accounts import include_accounts
from rowhouse.core.openapi import resolved
from rowhouse.core.policy import ANYONE, SIGNED_IN
from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import RegistrationError
from tests.conftest import QUIET, sign_up
from tests.crud.random_classes import KEYS, KINDS, RELATED, SECRET_VALUE, SHAPES, WORDS, Member, Shape, random_class
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app

CLASSES = int(os.environ.get("CLASSES", "2"))
SEED = int(os.environ.get("CLASSES_SEED", "20261128"))
API, PATH = "/api/v1", "/api/v1/made-ups"
TEXT = Member("text", None, is_nullable=False)
Row = dict[str, Any]


@seed(SEED)
@settings(
    max_examples=CLASSES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),  # each smaller class would be another application
)
@given(shape=SHAPES, keeps=some.booleans())
@example(
    shape=Shape([TEXT], "day", "user", "HTTPServer", None, "marked", frozenset(WORDS), frozenset({"lines", "twin"})),
    keeps=True,
)
@example(
    shape=Shape([TEXT], "double", None, "Order", "group", "none", frozenset({"ordered"}), frozenset(RELATED)),
    keeps=False,
)
def test_a_class_is_refused_or_keeps_the_contract(
    backend: str, databases: Databases, *, shape: Shape, keeps: bool
) -> None:
    """Create, get, list, filter, sort, update, delete, restore, export and import; and what the class says more."""
    model, related, metadata = random_class(shape)
    registry = Registry()
    line: dict[str, Any] = {"read": ANYONE, "write": ANYONE, "soft_delete": keeps, "history": keeps}
    if shape.fault:
        with pytest.raises(RegistrationError, match=rf"^{shape.name}(\.\w+)?\b.* "):
            registry.register(model, path="made-ups", **line)
        event("refused")
        return
    if "owned" in shape.words:
        include_accounts(registry)
        line |= {"owner": "owner_id", "write": SIGNED_IN}
    registry.register(model, path="made-ups", **line)
    for other in related:
        registry.register(other, read=ANYONE, write=ANYONE)
    url = databases.empty(backend)
    engine = create_engine(Settings(database_url=url))
    with engine.begin() as connection:
        if "schema" in shape.related and backend == "postgresql":
            connection.execute(sa.schema.CreateSchema("ops"))
        metadata.create_all(connection)
    engine.dispose()
    with QuickClient(create_app(Settings(database_url=url, **QUIET), registry, metadata)) as client:
        if "owned" in shape.words:
            client.headers.update(sign_up(client))
        _Contract(client, shape, keeps=keeps).check()
    event("held")


class _Contract:
    """What a class of this shape promises."""

    def __init__(self, client: QuickClient, shape: Shape, *, keeps: bool) -> None:
        self.client, self.shape, self.keeps = client, shape, keeps
        self.key = KEYS[shape.key]
        self.first, self.second = (
            {member.kind: KINDS[member.kind].values[number] for member in shape.members} for number in (0, 1)
        )
        if "hidden" in shape.words:
            self.first["hidden"], self.second["hidden"] = SECRET_VALUE, f"{SECRET_VALUE}!"

    def ask(self, method: str, path: str, status: int = 200, **sent: Any) -> Response:
        """Send a request, and require a status and that no response shows what is hidden."""
        answer = self.client.request(method, path, **sent)
        assert answer.status_code == status, (method, path, sent, answer.text)
        assert SECRET_VALUE not in answer.text, (method, path, answer.text)
        assert SECRET_VALUE not in str(answer.headers)
        return answer

    def body(self, number: int, values: Row) -> Row:
        """Return the body that creates a row: its values, and its key if the client sets it."""
        return values | (dict(zip(self.key.columns, self.key.values[number], strict=True)) if self.key.values else {})

    def shown(self, values: Row) -> Row:
        """Return the values that a response has."""
        return {name: value for name, value in values.items() if name != "hidden"}

    def key_of(self, row: Row) -> Row:
        """Return the members of the key."""
        return {name: row[name] for name in self.key.columns}

    def has(self, row: Row, values: Row) -> None:
        """Require that a row shows these values, and what is computed of the whole row."""
        shown = self.shown(values)
        assert {name: row[name] for name in shown} == shown
        assert "hidden" not in row
        if "computed" in self.shape.words:
            assert row["summary"] == f"{len(values.get('hidden', ''))}!"

    def check(self) -> None:
        """Each part of the contract, on the same two rows."""
        made = self.ask("POST", PATH, 201, json=self.body(0, self.first))
        self.where, self.row = made.headers["Location"], made.json()
        self.has(self.row, self.first)
        read = self.ask("GET", self.where)
        assert (read.json(), read.headers["etag"]) == (made.json(), made.headers["etag"])
        self.ask("GET", self.where, 304, headers={"If-None-Match": made.headers["etag"]})
        self.other = self.ask("POST", f"{PATH}/batch", 201, json=[self.body(1, self.second)]).json()[0]
        self.has(self.other, self.second)
        self._lists()
        self._aggregates()
        self._changes(made.headers["etag"])
        self._words()
        self._owner()
        self._upserts()
        self._relations()
        self._deletes()
        self._files()
        self._document()

    def _lists(self) -> None:
        for member in self.shape.members:
            if KINDS[member.kind].is_comparable:
                found = self.ask("GET", PATH, params={member.kind: str(self.first[member.kind]).lower()}).json()
                assert [self.key_of(row) for row in found["items"]] == [self.key_of(self.row)], member
                self._walk(member.kind)
            if member.is_nullable:
                assert self.ask("PATCH", self.where, json={member.kind: None}).json()[member.kind] is None
        for name, value in self._filter(self.row).items():
            self._walk(f"-{name.removesuffix('__eq')}")
            found = self.ask("GET", PATH, params={name: value}).json()["items"]
            assert self.key_of(self.row) in map(self.key_of, found)

    def _walk(self, sort: str) -> None:
        page = self.ask("GET", PATH, params={"sort": sort, "size": 1}).json()
        rest = self.ask("GET", PATH, params={"cursor": page["next_cursor"]}).json()["items"]
        keys = [self.key_of(row) for row in (*page["items"], *rest)]
        assert len(keys) == 2
        assert self.key_of(self.row) in keys
        assert self.key_of(self.other) in keys

    def _changes(self, tag: str) -> None:
        changed = self.ask("PATCH", self.where, json=self.second)
        self.has(changed.json(), self.second)
        if changed.headers["etag"] != tag:
            self.ask("PATCH", self.where, 412, json=self.second, headers={"If-Match": tag})
            self.ask("DELETE", self.where, 412, headers={"If-Match": tag})
        (many,) = self.ask("PATCH", f"{PATH}/batch", json=[{**self.key_of(self.row), **self.first}]).json()
        self.has(many, self.first)
        self.has(self.ask("PUT", self.where, json=self.first).json(), self.first)
        self.ask("PATCH", self.where, 422, json={**self.second, "no such member": 1})
        self.ask("PATCH", self.where, 400, json={})
        for name, value in self.key_of(self.row).items():
            self.ask("PATCH", self.where, 422, json={name: value})
        self.has(self.ask("GET", self.where).json(), self.first)

    def _words(self) -> None:
        words = self.shape.words
        if "strip" in words:
            assert self.ask("PATCH", self.where, json={"label": " a "}).json()["label"] == "a"
        if "secret" in words:
            self.ask("PATCH", self.where, 422, json={"door_code": "x"})
            self.ask("GET", PATH, 422, params={"door_code": "x"})
            self.ask("GET", f"{PATH}/aggregate", 422, params={"max": "door_code"})
        if "hidden" in words:
            self.ask("GET", PATH, 422, params={"hidden": "x"})
            self.ask("GET", PATH, 422, params={"sort": "hidden"})
        wrong: list[Row] = [{"mood": "bad"}] if "validated" in words else []
        wrong += [{"low": 9}, {"high": -1}] if "ordered" in words else []
        for values in wrong:
            before = self.ask("GET", self.where).json()
            one = [{**self.key_of(self.row), **values}]
            self.ask("PATCH", self.where, 422, json=values)
            self.ask("PUT", self.where, 422, json=values)
            self.ask("PATCH", f"{PATH}/batch", 422, json=one)
            self.ask("POST", PATH, 422, json=self.body(2, self.first) | values)
            self.ask("POST", f"{PATH}/batch", 422, json=[self.body(2, self.first) | values])
            lines = json.dumps(self.body(2, self.first) | values)
            self.ask("POST", f"{PATH}/import", 422, content=lines, headers={"Content-Type": "application/x-ndjson"})
            assert self.ask("GET", self.where).json() == before

    def _aggregates(self) -> None:
        """Count the rows, by each member that can be compared, and add up the numbers."""
        path = f"{PATH}/aggregate"
        assert self.ask("GET", path, params={"count": ""}).json()["items"] == [{"count": 2}]
        for member in self.shape.members:
            name, rows = member.kind, (self.row, self.other)
            if KINDS[name].is_comparable:
                groups = self.ask("GET", path, params={"group_by": name, "count": "", "sort": name}).json()["items"]
                values = [None if member.is_nullable else self.row[name], self.other[name]]
                assert sum(group["count"] for group in groups) == 2
                assert all(group[name] in values for group in groups)
            if name in ("integer", "money", "double") and not member.is_nullable:
                (found,) = self.ask("GET", path, params={"sum": name, "max": name}).json()["items"]
                numbers = [row[name] for row in rows]
                assert found == {"sum": {name: sum(numbers)}, "max": {name: max(numbers)}}

    def _owner(self) -> None:
        """The rows are of the caller, who cannot give them away. Others read them, and change nothing."""
        if "owned" not in self.shape.words:
            return
        self.ask("PATCH", self.where, 422, json={"owner_id": 1})
        self.ask("PATCH", self.where, 401, json=self.first, headers={"Authorization": ""})
        self.ask("PATCH", self.where, 403, json=self.first, headers=sign_up(self.client))
        assert self.ask("GET", self.where).json()["owner_id"] == self.row["owner_id"]

    def _upserts(self) -> None:
        """Create a row by its unique member, change it, and remove it."""
        if "unique" not in self.shape.words:
            return
        for outcome, values in (("created", self.first), ("updated", self.second)):
            body = self.body(2, values) | {"serial": "a,b"}
            done = self.ask("POST", f"{PATH}/batch", params={"on": "serial"}, json=[body]).json()
            assert done["outcomes"] == [outcome]
            self.has(done["items"][0], values)
        self.ask("POST", PATH, 409, json=self.body(3, self.first) | {"serial": "a,b"})
        (row,) = self.ask("GET", PATH, params={"serial": "a,b"}).json()["items"]
        self.ask("DELETE", f"{PATH}/batch", 204, params={"ids": self._ids(row)})

    def _relations(self) -> None:
        related = self.shape.related
        if len(self.key.columns) > 1:  # relations over several columns are for sessions only: no name is taken
            for name in ("lines", "tag_ids", "twin"):
                self.ask("PATCH", self.where, 422, json={name: []})
                self.ask("GET", self.where, 422, params={"expand": name})
            return
        if "tags" in related:
            tags = [self.ask("POST", f"{API}/tags", 201, json={"name": name}).json() for name in "ab"]
            ids = [tag["id"] for tag in tags]
            self.ask("PATCH", self.where, json={"tag_ids": ids})
            assert self.ask("GET", self.where, params={"expand": "tags"}).json()["tags"] == tags
            assert self.ask("GET", PATH, params={"tags__name": "b"}).json()["total"] == 1
            self.ask("PATCH", self.where, 409, json={"tag_ids": [77]})
            self.ask("PATCH", self.where, json={"tag_ids": ids[:1]})
            assert self.ask("GET", self.where, params={"expand": "tags"}).json()["tags"] == tags[:1]
        if "lines" in related:
            self.ask("PATCH", self.where, json={"lines": [{"position": 1}, {"position": 2}]})
            one, two = self.ask("GET", self.where, params={"expand": "lines"}).json()["lines"]
            assert (one["position"], two["position"]) == (1, 2)
            wrong = self.ask("PATCH", self.where, 422, json={"lines": [{"position": 3}, {"position": "x"}]}).json()
            assert wrong["errors"][0]["loc"] == ["body", "lines", 1, "position"]
            self.ask("PATCH", self.where, json={"lines": [{"id": two["id"], "note": "n"}]})
            assert self.ask("GET", self.where, params={"expand": "lines"}).json()["lines"] == [{**two, "note": "n"}]
        if "twin" in related:
            body = {f"made_{name}": value for name, value in self.key_of(self.row).items()}
            made = self.ask("POST", f"{API}/twins", 201, json=body)
            self.ask("POST", f"{API}/twins", 409, json=body)
            assert self.ask("GET", self.where, params={"expand": "twin"}).json()["twin"] == made.json()
            self.ask("DELETE", self.where, 409)
            self.ask("DELETE", made.headers["Location"], 204)

    def _deletes(self) -> None:
        self.ask("DELETE", self.where, 204)
        self.ask("GET", self.where, 404)
        if not self.keeps:
            return
        gone, *_ = self.ask("GET", f"{PATH}/deleted").json()["items"]
        assert self.shown(self.first).items() <= gone.items()
        self.has(self.ask("POST", f"{self.where}/restore").json(), self.first)
        assert self.ask("GET", f"{self.where}/history").json()["total"] >= 3

    def _files(self) -> None:
        """What was exported is imported: as new rows, or in place of the deleted row where clients set the key."""
        shown = list(self.shown(self.second))
        names = [*self.key.columns, *shown] if self.key.values else shown
        for form, kind in (("csv", "text/csv"), ("ndjson", "application/x-ndjson")):
            query = {"format": form, "fields": ",".join(names), **self._filter(self.other)}
            exported = self.ask("GET", f"{PATH}/export", params=query).content
            if self.key.values:
                self.ask("DELETE", f"{PATH}/batch", 204, params={"ids": self._ids(self.other)})
            done = self.ask("POST", f"{PATH}/import", 201, content=exported, headers={"Content-Type": kind})
            assert done.json() == {"created": 1}
            for row in self.ask("GET", PATH).json()["items"]:
                if self.key_of(row) != self.key_of(self.row):
                    assert {name: row[name] for name in shown} == self.shown(self.second)

    def _filter(self, row: Row) -> dict[str, str]:
        """Return the filters of a key. `size` is a word of pages, so a column of that name takes `size__eq`."""
        return {"size__eq" if name == "size" else name: str(value) for name, value in self.key_of(row).items()}

    def _ids(self, row: Row) -> str:
        parts = list(self._filter(row).values())
        return ",".join('"' + part.replace('"', '""') + '"' for part in parts)

    def _document(self) -> None:
        schemas = resolved(self.ask("GET", "/openapi.json").json())["components"]["schemas"]
        assert schemas[f"{self.shape.name}Public"]["properties"].keys() >= self.row.keys()
        assert "hidden" not in schemas[f"{self.shape.name}Public"]["properties"]
