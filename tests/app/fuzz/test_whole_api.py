"""Schemathesis over the whole API with all its checks, on both databases, as administrator, driver and nobody.

`scripts/test` runs the half on SQLite, and `scripts/test-world` the half on PostgreSQL.

No input gives a 500; every status, media type, header and body is as the OpenAPI document says; what the document calls
valid is accepted and everything else refused; other methods are 405; credentials are never ignored; a driver never gets
another's object. Rules that JSON Schema cannot state are in `hooks`, each with its reason. A longer run by hand, with
200 examples an operation:

    FUZZ_EXAMPLES=200 .venv/bin/python -m pytest tests/app/fuzz
"""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from app.main import create_app
from tests.app.fuzz.campaign import Account, Campaign
from tests.concurrency.servers import serve
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, PASSWORD, migrate
from tests.databases import BACKENDS, Databases

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
PATIENT = 60.0  # a busy machine must not be taken for a fault
FEW = 2  # made up for an operation, beside its boundary cases
BOOK = {"title": "Emma", "author": "Austen", "price": 9.99, "stock": 9}
# The boundary cases of a list's parameters number hundreds, and exports and aggregates read the same ones: one short
# list, one aggregate and one list of deleted rows go through their own. Of these operations, which differ between
# entities by their schema only, every sixteenth does. Each goes through them on one of the databases. What is made up is
# sent to each operation by the administrator on one database, and to every fourth by the driver; nobody's requests are
# left to `tests/hand_written/test_every_operation.py`. The longer run leaves nothing out.
SAMPLED = re.compile("(get|put|update|delete|restore)_|(create|import)_.*s$")
LONG = re.compile("(list|export|aggregate)_")
COVERED_LISTS = {"sqlite": ["aggregate_categories", "list_deleted_books"], "postgresql": ["list_categories"]}
# The boundary cases of every parameter take the most time and hardly depend on who sends them. The administrator comes
# last, who may delete what the others have.
# Few examples follow no link from one operation to another, so only the longer run looks for states.
STATES = ",stateful" if EXAMPLES else ""
PHASES = {"driver": f"fuzzing{STATES}", "anonymous": f"fuzzing{STATES}", "admin": f"examples,coverage,fuzzing{STATES}"}
ROLES = {"sqlite": ("driver", "admin"), "postgresql": ("admin",)}
# `scripts/test` fuzzes on SQLite, `scripts/test-world` on PostgreSQL, the longer run on both.
HERE = BACKENDS if EXAMPLES else ("postgresql",) if os.environ.get("ROWHOUSE_WORLD") else ("sqlite",)
CAMPAIGNS = [
    pytest.param(name, role, marks=pytest.mark.xdist_group(f"fuzz-{name}"))
    for name in HERE
    for role in (PHASES if EXAMPLES else ROLES[name])
]


@pytest.fixture(scope="module")
def campaign(backend: str, databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campaign]:
    """A server of its own, with a row of everything to begin with and tokens that outlast the longest run."""
    url = databases.prepared(backend, "migrated", migrate)
    with serve(url, application=create_app, ACCESS_TOKEN_MINUTES="1440") as (server,):
        with httpx2.Client(base_url=f"{server.url}/api/v1", timeout=PATIENT) as client:
            accounts = add_accounts(client)
            add_rows(client, accounts)
            operations = operations_of(client.get(f"{server.url}/openapi.json").json())
        left_out = {} if EXAMPLES else left_out_on(backend, operations)
        yield Campaign(server.url, accounts, left_out, tmp_path_factory.mktemp("fuzz"))


def operations_of(document: dict[str, Any]) -> list[str]:
    """The ids of all operations, in the order of the document."""
    return [operation["operationId"] for item in document["paths"].values() for operation in item.values()]


def left_out_on(backend: str, operations: list[str]) -> dict[tuple[str, str], list[str]]:
    """By phase and role, the operations that the suite leaves to the other database, or to the longer run."""
    side = BACKENDS.index(backend)
    short = [name for name in operations if not LONG.match(name)]
    sampled = [name for name in short if SAMPLED.match(name)]
    chosen = [*sampled[::16], *(name for name in short if name not in sampled)]
    covered = {*chosen[side :: len(BACKENDS)], *COVERED_LISTS[backend]}
    left_out = {("coverage", role): [name for name in operations if name not in covered] for role in PHASES}
    shares = {"admin": operations[side::2], "driver": operations[1::4]}
    for role in PHASES:
        share = shares.get(role, ())
        left_out["fuzzing", role] = [name for name in operations if name not in share]
    return left_out


def add_accounts(client: httpx2.Client) -> dict[str, Account]:
    """An administrator and two drivers, none of whom may see what the other has."""
    accounts = {"admin": sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)}
    for name in ("driver", "neighbour"):
        email = f"{name}@example.com"
        body = {"email": email, "password": PASSWORD, "full_name": name, "role": "driver"}
        assert client.post("/users", json=body).status_code == 201
        accounts[name] = sign_in(client, email, PASSWORD)
    return accounts


def sign_in(client: httpx2.Client, email: str, password: str) -> Account:
    """An account of the campaign."""
    answer = client.post("/auth/login", data={"username": email, "password": password})
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    return Account(client.get("/users/me", headers=headers).json()["id"], headers)


def add_rows(client: httpx2.Client, accounts: dict[str, Account]) -> None:
    """One row of each kind, of a driver's one each, and some deleted ones, so that small ids lead somewhere."""
    point = {"code": "A", "name": "A", "latitude": 0, "longitude": 0, "connector": "ccs", "power_kw": 1}
    add(client, accounts["admin"], "/categories", {"name": "Novels"})
    add(client, accounts["admin"], "/books", {**BOOK, "category_id": 1})
    for number in range(2, 5):
        body = {"title": f"Deleted {number}", "author": "Nobody", "price": 1, "category_id": 1}
        add(client, accounts["admin"], "/books", body)
        assert client.delete(f"/books/{number}", headers=accounts["admin"].headers).status_code == 204
    add(client, accounts["admin"], "/charge-points", {**point, "price_per_kwh": 1})
    start = datetime.now(UTC).replace(microsecond=0)
    for name in ("driver", "neighbour"):
        start += timedelta(days=1)
        times = {"start_time": start.isoformat(), "end_time": (start + timedelta(hours=1)).isoformat()}
        add(client, accounts[name], "/vehicles", {"plate": name, "connector": "ccs"})
        add(client, accounts[name], "/bookings", {"charge_point_id": 1, **times})
        add(client, accounts[name], "/reviews", {"book_id": 1, "rating": 4})
        add(client, accounts[name], "/cart-items", {"book_id": 1, "quantity": 1})
        add(client, accounts[name], "/orders", None)
        add(client, accounts[name], "/cart-items", {"book_id": 1, "quantity": 1})


def add(client: httpx2.Client, account: Account, path: str, body: dict[str, Any] | None) -> None:
    """Store one row as `account`."""
    answer = client.post(path, json=body, headers=account.headers)
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(("backend", "role"), CAMPAIGNS, indirect=["backend"])
def test_every_check_is_clean(campaign: Campaign, role: str) -> None:
    """No failure, no error, and every operation was tested."""
    done = campaign.run(role, PHASES[role], EXAMPLES or FEW)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout, done.stdout
