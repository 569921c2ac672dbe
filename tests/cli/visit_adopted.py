"""Visits the API of an adopted project in a process of its own: `python visit_adopted.py`, in the project's folder.

Migrates first. Walks every list by every column, asks for each row, filters by its values and expands all relations.
Then sends the requests that it reads as JSON from standard input, below `/api/v2`, where writing is allowed. Prints what
it found as JSON.
"""

import json
import os
import sys
from importlib import import_module
from typing import Any
from urllib.parse import quote

from starlette.testclient import TestClient

from rowhouse import ADMIN, Registry, create_app
from rowhouse.cli import migrate
from rowhouse.cli.project import find_project
from rowhouse.query.list_parameters import WINDOW_WORDS

ACCOUNT = {"ADMIN_EMAIL": "root@example.com", "ADMIN_PASSWORD": "correct-horse"}


def main() -> None:
    """Visit, and print."""
    migrated = [migrate.run(["--start"]), migrate.run(["--check"])]
    find_project().make_importable()
    reading: Registry = import_module("app.api").registry
    writing = Registry("/api/v2")
    for registration in reading.registrations.values():
        if registration.resource.name not in ("User", "Job"):  # a job needs a column that was left out
            writing.register(registration.resource.model, write=ADMIN)
    os.environ.update(ACCOUNT)
    with TestClient(create_app([reading, writing]), raise_server_exceptions=False) as client:
        login = {"username": ACCOUNT["ADMIN_EMAIL"], "password": ACCOUNT["ADMIN_PASSWORD"]}
        signed_in = client.post("/api/v1/auth/login", data=login)
        assert signed_in.status_code == 200, signed_in.text
        token = signed_in.json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        faults: list[str] = []
        lists = {path: Visit(client, reading, path, faults).all() for path in reading.registrations if path != "users"}
        refused = [client.post(f"/api/v1/{path}", json={}).status_code for path in lists]
        answers = [answer(client, *request) for request in json.load(sys.stdin)]
    found = {"migrated": migrated, "lists": lists, "faults": faults, "refused": refused, "answers": answers}
    sys.stdout.write(json.dumps(found))


def answer(client: TestClient, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Return the status and the body of a response."""
    found = client.request(method, f"/api/v2{path}", json=body)
    return found.status_code, found.json() if found.content else None


class Visit:
    """One list of the API."""

    def __init__(self, client: TestClient, registry: Registry, path: str, faults: list[str]) -> None:
        self.client, self.where, self.faults = client, f"/api/v1/{path}", faults
        self.resource = registry.registrations[path].resource
        self.keys = [column.name for column in self.resource.key.columns]

    def get(self, url: str) -> Any:
        """Return what a GET below the list shows. Note an error."""
        found = self.client.get(f"{self.where}{url}")
        if found.status_code != 200:
            self.faults.append(f"{self.where}{url}: {found.status_code} {found.text}")
        return found.json()

    def walk(self, column: str, total: int) -> None:
        """Follow the cursors of a list that is sorted by a column. It holds every row once."""
        found = self.get(f"?size=2&sort={column}")
        seen = [*found["items"]]
        while found["next_cursor"]:
            found = self.get(f"?size=2&cursor={quote(found['next_cursor'])}")
            seen += found["items"]
        different = {tuple(row[name] for name in self.keys) for row in seen}
        if not len(different) == len(seen) == total:
            self.faults.append(f"{self.where} by {column}: {len(seen)} of {total}")

    def row(self, row: dict[str, Any]) -> None:
        """Get a row by its key, and find it by each of its values."""
        segment = ",".join(quote(str(row[name]), safe="") for name in self.keys)
        if self.get(f"/{segment}") != row:
            self.faults.append(f"{self.where}/{segment} differs from the list")
        for column in self.resource.parameters.sortable:
            text = row[column] if isinstance(row[column], str) else json.dumps(row[column])
            name = f"{column}__eq" if column in (*WINDOW_WORDS, "sort") else column
            asked = f"?{column}__isnull=true" if row[column] is None else f"?{name}={quote(text)}"
            if not self.get(asked)["total"]:
                self.faults.append(f"{self.where}{asked} finds nothing")

    def all(self) -> dict[str, Any]:
        """Return the number of rows, the names of the relations, and the first row."""
        page = self.get("?size=100")
        for column in self.resource.parameters.sortable:
            self.walk(column, page["total"])
        for row in page["items"]:
            self.row(row)
        names = expanded(self.client, self.resource.path)
        for name in names:
            self.get(f"?expand={name}")
        return {"total": page["total"], "expand": names, "first": page["items"][:1]}


def expanded(client: TestClient, path: str) -> list[str]:
    """Return the names of `expand` of one hop."""
    cruds = client.app.state.cruds["/api/v1"]  # type: ignore[attr-defined]  # FastAPI's
    return sorted(next(crud.resource for crud in cruds.values() if crud.resource.path == path).relations)


if __name__ == "__main__":
    main()
