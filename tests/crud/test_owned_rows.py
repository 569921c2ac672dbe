"""A class that owns rows writes them in its own requests (docs/contract.md §3): all or none, with the place of an error."""

from collections.abc import Iterator
from typing import Any

import pytest
from httpx2 import Response
from pydantic import SecretStr
from starlette.testclient import TestClient

from rowhouse import NotAuthenticatedError, caller_of, get_crud, unit
from rowhouse.core.settings import Settings
from rowhouse.crud import owned
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, QUIET, sign_in, sign_up, unique
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.owned.main import HIDDEN, SOLD_OUT, UNLUCKY, create_app
from tests.sample_entities.owned.models import Invoice, create_tables
from tests.statement_counter import statements_sent

Row = dict[str, Any]
API = "/api/v1"
INVOICES = f"{API}/invoices"
ABSENT = 2**31 - 1


@pytest.fixture(scope="module")
def client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """The invoices, signed in as administrator."""
    url = databases.prepared(backend, "owned", create_tables)
    password = SecretStr(ADMIN_PASSWORD)
    settings = Settings(database_url=url, admin_email=ADMIN_EMAIL, admin_password=password, **QUIET)
    with QuickClient(create_app(settings)) as client:
        client.headers.update(sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))
        yield client


@pytest.fixture(scope="module")
def stranger(client: TestClient) -> dict[str, str]:
    """The headers of a user."""
    return sign_up(client)


def made(client: TestClient, path: str = "invoices", **values: Any) -> Row:
    """Create a row; an invoice with a number of its own."""
    body = {"number": unique(), **values} if path == "invoices" else values
    answer = client.post(f"{API}/{path}", json=body)
    assert answer.status_code == 201, answer.text
    row: Row = answer.json()
    return row


def owned_by(client: TestClient, invoice: Row, name: str = "lines") -> list[Row]:
    """Return the rows that an invoice owns."""
    rows: list[Row] = client.get(f"{INVOICES}/{invoice['id']}?expand={name}").json()[name]
    return rows


def lines(client: TestClient, invoice: Row) -> list[tuple[int, int]]:
    """Return the position and the quantity of the lines of an invoice."""
    return [(line["position"], line["quantity"]) for line in owned_by(client, invoice)]


def of(*positions: int, **values: Any) -> list[Row]:
    """Return new lines at these positions."""
    return [{"position": position, **values} for position in positions]


def fault(answer: Response) -> tuple[int, list[Any]]:
    """Return the status of a response, and the place of its first fault."""
    return answer.status_code, answer.json()["errors"][0]["loc"]


def changed(client: TestClient, invoice: Row, **values: Any) -> Response:
    """Change an invoice."""
    answer: Response = client.patch(f"{INVOICES}/{invoice['id']}", json=values)
    return answer


def test_a_row_is_created_with_the_rows_that_it_owns(client: TestClient) -> None:
    """The response is the row, as that of every create. Hooks and defaults of the lines apply."""
    invoice = made(client, lines=[{"position": 1, "quantity": 2, "code": "b"}, {"position": 2}])
    assert invoice == client.get(f"{INVOICES}/{invoice['id']}").json()
    assert "lines" not in invoice
    first, second = owned_by(client, invoice)
    assert (first["invoice_id"], first["code"], first["quantity"]) == (invoice["id"], "B", 2)
    assert (second["position"], second["code"], second["quantity"]) == (2, "A", 1)
    assert lines(client, made(client)) == []


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_an_update_replaces_the_set(client: TestClient, method: str) -> None:
    """A key names a stored row, others are new, and what is left out is deleted. The version of the invoice moves."""
    invoice = made(client, lines=of(1, 2, 3))
    first, second, third = owned_by(client, invoice)
    path = f"{INVOICES}/{invoice['id']}"
    before = client.get(path)
    wanted = [{"position": 2, "quantity": 9}, {"id": first["id"], "quantity": 5}, {"id": third["id"]}]
    answer = client.request(method, path, json={"lines": wanted}, headers={"If-Match": before.headers["etag"]})
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] != before.headers["etag"]
    assert answer.json()["updated_at"] > before.json()["updated_at"]
    assert lines(client, invoice) == [(1, 5), (3, 1), (2, 9)]
    assert owned_by(client, invoice)[1] == third
    assert client.get(f"{API}/invoice-lines/{second['id']}").status_code == 404
    stale = client.request(method, path, json={"lines": []}, headers={"If-Match": before.headers["etag"]})
    assert stale.status_code == 412
    assert changed(client, invoice, number=unique()).status_code == 200
    assert len(lines(client, invoice)) == 3
    assert client.request(method, path, json={"lines": []}).status_code == 200
    assert lines(client, invoice) == []


FAULTS: list[tuple[Row, int, list[Any]]] = [
    ({"position": 2, "quantity": "x"}, 422, ["quantity"]),
    ({"position": 2, "quantity": 0}, 422, ["quantity"]),
    ({"position": 2, "quantity": UNLUCKY}, 422, ["quantity"]),
    ({"position": 2, "invoice_id": 1}, 422, ["invoice_id"]),
    ({"position": 2, "discounts": []}, 422, ["discounts"]),
    ({"quantity": 2}, 422, ["position"]),
    ({"position": 2, "quantity": 1000}, 409, []),
    ({"position": 1}, 409, []),
    ({"position": 2, "product_id": ABSENT}, 409, []),
]


@pytest.mark.parametrize(("line", "status", "place"), FAULTS)
def test_an_error_names_the_element_and_nothing_is_stored(
    client: TestClient, line: Row, status: int, place: list[Any]
) -> None:
    number = unique()
    answer = client.post(INVOICES, json={"number": number, "lines": [*of(1), line]})
    assert fault(answer) == (status, ["body", "lines", 1, *place])
    assert client.get(INVOICES, params={"number": number}).json()["total"] == 0
    invoice = made(client, lines=of(1))
    (stored,) = owned_by(client, invoice)
    answer = changed(client, invoice, number=number, lines=[{"id": stored["id"], "quantity": 7}, line])
    assert fault(answer) == (status, ["body", "lines", 1, *place])
    assert owned_by(client, invoice) == [stored]
    assert client.get(INVOICES, params={"number": number}).json()["total"] == 0


def test_a_change_of_an_element_is_refused_at_its_place(client: TestClient) -> None:
    invoice, other = made(client, lines=of(1, 2)), made(client, lines=of(1))
    (first, second), (foreign,) = owned_by(client, invoice), owned_by(client, other)
    known: Row = {"id": first["id"]}
    refused: list[tuple[Row, int, list[Any]]] = [
        ({"id": foreign["id"], "quantity": 2}, 404, []),
        ({"id": ABSENT}, 404, []),
        ({"id": second["id"], "code": "C"}, 422, ["code"]),
        ({"id": second["id"], "position": 1}, 409, []),
        ({"id": second["id"], "quantity": UNLUCKY}, 422, ["quantity"]),
        ({"id": second["id"], "quantity": SOLD_OUT}, 404, []),
        ({"id": second["id"], "product_id": ABSENT}, 409, []),
    ]
    for line, status, place in refused:
        answer = changed(client, invoice, lines=[known, line])
        assert fault(answer) == (status, ["body", "lines", 1, *place]), line
        assert "lines 1: " in answer.json()["detail"] or status == 422
    twice = [{"id": first["id"], "quantity": 2}, {"id": first["id"], "quantity": 3}]
    assert fault(changed(client, invoice, lines=twice)) == (422, ["body", "lines", 1, "id"])
    assert owned_by(client, invoice) == [first, second]
    malformed: tuple[Any, ...] = (None, {}, of(*range(1001)))
    for wrong in malformed:
        assert fault(changed(client, invoice, lines=wrong)) == (422, ["body", "lines"])


def test_an_interval_that_is_taken(client: TestClient) -> None:
    room = made(client, "rooms", name="A")["id"]

    def stay(first: int, last: int) -> Row:
        return {"room_id": room, "start_time": f"2030-01-{first}T00:00:00Z", "end_time": f"2030-01-{last}T00:00:00Z"}

    body = {"number": unique(), "stays": [stay(10, 12), stay(11, 13)]}
    answer = client.post(INVOICES, json=body)
    assert fault(answer) == (409, ["body", "stays", 1])
    assert answer.json()["conflict"]["start_time"] == "2030-01-10T00:00:00Z"
    invoice = made(client, stays=[stay(10, 12), stay(12, 13)])
    first = owned_by(client, invoice, "stays")[0]["id"]
    assert changed(client, invoice, stays=[{"id": first}, stay(13, 14)]).status_code == 200
    later = {"id": first, "end_time": "2030-01-14T00:00:00Z"}
    assert changed(client, invoice, stays=[later]).status_code == 200
    assert fault(changed(client, invoice, stays=[stay(20, 21), {**later, "start_time": later["end_time"]}])) == (
        422,
        ["body", "stays", 1, "end_time"],
    )


def test_the_policy_of_the_owned_rows_applies(client: TestClient, stranger: dict[str, str]) -> None:
    number = unique()
    body = {"number": number, "approvals": [{"name": "A"}]}
    assert client.post(INVOICES, json=body, headers=stranger).status_code == 403
    assert client.post(f"{INVOICES}/batch", json=[body], headers=stranger).status_code == 403
    assert client.get(INVOICES, params={"number": number}).json()["total"] == 0
    invoice = client.post(INVOICES, json={"number": number, "approvals": []}, headers=stranger).json()
    path = f"{INVOICES}/{invoice['id']}"
    assert client.patch(path, json={"approvals": []}, headers=stranger).status_code == 403
    assert changed(client, invoice, approvals=[{"name": "A"}]).status_code == 200
    assert client.patch(path, json={"lines": of(1)}, headers=stranger).status_code == 200
    assert client.delete(path, headers=stranger).status_code == 403
    assert len(owned_by(client, invoice, "approvals")) == 1
    assert client.delete(path).status_code == 204


def test_others_rows_are_neither_changed_nor_deleted(client: TestClient, stranger: dict[str, str]) -> None:
    """Those that the caller does not see stay. Those that someone else owns are refused."""
    invoice = made(client, notes=[{"text": "a"}], lines=of(1, HIDDEN))
    path, (note,) = f"{INVOICES}/{invoice['id']}", owned_by(client, invoice, "notes")
    for notes, place in (([], []), ([{"id": note["id"], "text": "b"}], [0])):
        answer = client.patch(path, json={"notes": notes}, headers=stranger)
        assert fault(answer) == (403, ["body", "notes", *place])
    body: Row = {"notes": [{"id": note["id"]}, {"text": "c"}], "lines": []}
    assert client.patch(path, json=body, headers=stranger).status_code == 200
    mine = client.get(f"{API}/users/me", headers=stranger).json()["id"]
    assert [one["author_id"] for one in owned_by(client, invoice, "notes")] == [note["author_id"], mine]
    assert lines(client, invoice) == [(HIDDEN, 1)]
    hidden = owned_by(client, invoice)[0]["id"]
    answer = client.patch(path, json={"lines": [{"id": hidden, "quantity": 2}]}, headers=stranger)
    assert fault(answer) == (404, ["body", "lines", 0])
    product = made(client, "products", name="a", is_hidden=True)["id"]
    answer = client.patch(path, json={"lines": of(1, product_id=product)}, headers=stranger)
    assert (*fault(answer), answer.json()["code"]) == (409, ["body", "lines", 0], "reference_not_found")


def test_rows_that_only_their_owner_sees(client: TestClient, stranger: dict[str, str]) -> None:
    cart = made(client, "carts", articles=[{"name": "a"}])
    path = f"{API}/carts/{cart['id']}"
    (article,) = mine = client.get(f"{path}?expand=articles").json()["articles"]
    replaced: tuple[list[Row], ...] = ([], [{"id": article["id"], "name": "b"}], [{"name": "c"}])
    for articles in replaced:
        assert client.patch(path, json={"articles": articles}, headers=stranger).status_code == 404
    assert client.delete(path, headers=stranger).status_code == 404
    theirs = client.post(f"{API}/carts", json={"articles": [{"name": "d"}]}, headers=stranger).json()
    answer = client.patch(f"{API}/carts/{theirs['id']}", json={"articles": [{"id": article["id"]}]}, headers=stranger)
    assert fault(answer) == (404, ["body", "articles", 0])
    assert client.get(f"{path}?expand=articles").json()["articles"] == mine
    assert client.delete(f"{API}/carts/{theirs['id']}", headers=stranger).status_code == 204


def test_each_owned_row_has_its_history(client: TestClient) -> None:
    invoice = made(client, lines=of(1, 2))
    first, second = owned_by(client, invoice)
    assert changed(client, invoice, lines=[{"id": first["id"], "quantity": 4}]).status_code == 200
    for line, last in ((first, "update"), (second, "delete")):
        entries = client.get(f"{API}/invoice-lines/{line['id']}/history?sort=id").json()["items"]
        assert [entry["action"] for entry in entries] == ["create", last]
    entries = client.get(f"{INVOICES}/{invoice['id']}/history?sort=id").json()["items"]
    assert [entry["action"] for entry in entries] == ["create", "update"]
    assert client.post(f"{API}/invoice-lines/{second['id']}/restore").status_code == 200
    assert lines(client, invoice) == [(1, 4), (2, 1)]


def test_owned_rows_are_deleted_with_their_row(client: TestClient, stranger: dict[str, str]) -> None:
    """Rows that the owned rows own too. Rows that are not owned, or that the caller does not see, keep it."""
    invoices = [made(client, lines=of(1, 2)) for _ in range(3)]
    line = owned_by(client, invoices[0])[0]["id"]
    made(client, "discounts", line_id=line, percent=5)
    assert client.delete(f"{INVOICES}/{invoices[0]['id']}").status_code == 204
    assert client.get(f"{API}/discounts", params={"line_id": line}).json()["total"] == 0
    assert client.get(f"{API}/invoice-lines/{line}").status_code == 404
    keys = ",".join(str(invoice["id"]) for invoice in invoices[1:])
    assert client.delete(f"{INVOICES}/batch?ids={keys},{ABSENT}").status_code == 404
    assert client.delete(f"{INVOICES}/batch?ids={keys}").status_code == 204
    assert client.get(f"{API}/invoice-lines", params={"invoice_id__in": keys}).json()["total"] == 0
    kept = made(client, lines=of(1))
    made(client, "reminders", invoice_id=kept["id"])
    assert client.delete(f"{INVOICES}/{kept['id']}").status_code == 409
    assert lines(client, kept) == [(1, 1)]
    kept = made(client, lines=of(HIDDEN))
    assert client.delete(f"{INVOICES}/{kept['id']}", headers=stranger).status_code == 409
    kept = made(client, notes=[{"text": "a"}])
    assert client.delete(f"{INVOICES}/{kept['id']}", headers=stranger).status_code == 403
    assert fault(client.delete(f"{INVOICES}/batch?ids={kept['id']}", headers=stranger)) == (403, ["query", "ids", 0])


def test_batches_take_as_many_statements_for_many_rows(client: TestClient) -> None:
    """Each of these numbers of rows is a power of two, and so is one chunk."""
    counts = []
    for size in (2, 32):
        body = [{"number": unique(), "lines": of(1, 2)} for _ in range(size)]
        with statements_sent() as created:
            answer = client.post(f"{INVOICES}/batch", json=body)
        assert answer.status_code == 201, answer.text
        keys = ",".join(str(invoice["id"]) for invoice in answer.json())
        query: dict[str, Any] = {"id__in": keys, "expand": "lines", "size": 100}
        stored = client.get(INVOICES, params=query).json()["items"]
        changes = [{"id": one["id"], "lines": [*of(3), {"id": one["lines"][0]["id"], "quantity": 5}]} for one in stored]
        with statements_sent() as updated:
            answer = client.patch(f"{INVOICES}/batch", json=changes)
        assert answer.status_code == 200, answer.text
        found = client.get(INVOICES, params=query).json()["items"]
        assert [[(line["position"], line["quantity"]) for line in one["lines"]] for one in found] == [
            [(1, 5), (3, 1)]
        ] * size
        with statements_sent() as deleted:
            assert client.delete(f"{INVOICES}/batch?ids={keys}").status_code == 204
        counts.append((len(created), len(updated), len(deleted)))
    assert counts[0] == counts[1]


def test_a_batch_names_the_row_and_the_element(client: TestClient) -> None:
    """The first faulty element is reported: an owned row of an earlier one before the row of a later one."""
    taken = made(client)["number"]
    good: Row = {"number": unique(), "lines": of(1)}
    twice: Row = {"number": unique(), "lines": of(1, 2, 2)}
    late: Row = {"number": taken, "lines": of(1)}
    answer = client.post(f"{INVOICES}/batch", json=[good, twice, late])
    assert fault(answer) == (409, ["body", 1, "lines", 2])
    assert answer.json()["detail"].startswith("Element 1, lines 2: ")
    assert fault(client.post(f"{INVOICES}/batch", json=[good, late, twice])) == (409, ["body", 1])
    wrong = {"number": unique(), "lines": [*of(1), {"position": "x"}]}
    assert fault(client.post(f"{INVOICES}/batch", json=[good, wrong])) == (422, ["body", 1, "lines", 1, "position"])
    first, second = made(client, lines=of(1)), made(client)
    changes = [{"id": first["id"], "lines": []}, {"id": second["id"], "lines": [{"id": ABSENT}]}]
    assert fault(client.patch(f"{INVOICES}/batch", json=changes)) == (404, ["body", 1, "lines", 0])
    assert lines(client, first) == [(1, 1)]
    assert client.get(INVOICES, params={"number": good["number"]}).json()["total"] == 0
    assert client.patch(f"{INVOICES}/batch", json=[{"id": first["id"], "number": unique()}]).status_code == 200


def test_an_upsert_and_an_import_go_by_the_same_path(client: TestClient) -> None:
    invoice = made(client, lines=of(1, 2))
    body = [{"number": invoice["number"], "lines": of(2, 3)}, {"number": unique(), "lines": of(1)}]
    answer = client.post(f"{INVOICES}/batch?on=number", json=body)
    assert answer.json()["outcomes"] == ["updated", "created"]
    assert lines(client, invoice) == [(2, 1), (3, 1)]
    headers = {"Content-Type": "application/x-ndjson"}
    numbers = [unique(), unique()]
    content = "\n".join(f'{{"number": "{number}", "lines": [{{"position": 1}}]}}' for number in numbers)
    assert client.post(f"{INVOICES}/import", content=content, headers=headers).status_code == 201
    found = client.get(INVOICES, params={"number__in": ",".join(numbers), "expand": "lines"}).json()["items"]
    assert [len(one["lines"]) for one in found] == [1, 1]
    wrong = f'{{"number": "{unique()}"}}\n{{"number": "{unique()}", "lines": [{{"position": 1}}, {{"position": 1}}]}}'
    answer = client.post(f"{INVOICES}/import", content=wrong, headers=headers)
    assert fault(answer) == (409, ["body", 1, "lines", 1])


def test_keys_that_clients_set(client: TestClient) -> None:
    """A town is named by its own part of the key. PUT creates the country or changes it. There are no timestamps."""
    code = unique()[:10]
    path = f"{API}/countries/{code}"
    put = {"towns": [{"name": "A", "people": 1}, {"name": "B"}]}
    assert client.put(path, json=put).status_code == 201
    assert client.put(path, json={"towns": [{"name": "B", "people": 2}, {"name": "C"}]}).status_code == 200

    def towns() -> list[tuple[str, int]]:
        return [(town["name"], town["people"]) for town in client.get(f"{path}?expand=towns").json()["towns"]]

    assert towns() == [("B", 2), ("C", 0)]
    assert fault(client.patch(path, json={"towns": [{"people": 2}]})) == (422, ["body", "towns", 0, "name"])
    assert fault(client.patch(path, json={"towns": [{"name": "D"}] * 2})) == (409, ["body", "towns", 1])
    batch = [{"code": code, "towns": [{"name": "C"}]}]
    answer = client.patch(f"{API}/countries/batch", json=batch)
    assert (answer.status_code, answer.json()) == (200, [{"code": code, "name": ""}])
    assert towns() == [("C", 0)]
    assert client.delete(path).status_code == 204
    assert client.post(f"{path}/restore").status_code == 200
    assert towns() == []


def test_put_does_not_take_a_missing_owned_row_for_its_own(client: TestClient) -> None:
    path = f"{API}/countries/{unique()[:10]}"
    assert client.put(path, json={"stamps": [{"name": "A"}]}).status_code == 201
    assert fault(client.put(path, json={"stamps": [{"id": ABSENT}]})) == (404, ["body", "stamps", 0])
    assert len(client.get(f"{path}?expand=stamps").json()["stamps"]) == 1


def test_too_many_stored_rows_are_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    invoice, empty = made(client, lines=of(1, 2, 3)), made(client)
    for name in ("MAX_OWNED", "MAX_STORED"):
        with monkeypatch.context() as patched:
            patched.setattr(owned, name, 2)
            assert changed(client, invoice, lines=[]).status_code == 409
            answer = client.delete(f"{INVOICES}/{invoice['id']}")
            assert (answer.status_code, "/invoice-lines" in answer.json()["detail"]) == (409, True)
            batch = [{"id": empty["id"], "lines": []}, {"id": invoice["id"], "lines": []}]
            answer = client.patch(f"{INVOICES}/batch", json=batch)
            assert answer.status_code == 409
    assert len(lines(client, invoice)) == 3


@pytest.mark.parametrize("body", [[], [{"id": ABSENT, "quantity": 3}]])
def test_a_row_that_is_deleted_meanwhile(client: TestClient, monkeypatch: pytest.MonkeyPatch, body: list[Row]) -> None:
    """The request is repeated, and finds the rows as they are then."""
    invoice, read, seen = made(client, lines=of(1)), owned.OwnedRows.stored, []

    def once_too_many(self: owned.OwnedRows, *arguments: Any) -> dict[Any, list[Any]]:
        found = read(self, *arguments)
        if self.name == "lines":
            seen.append(found)
        return found if len(seen) > 1 else {owner: [*keys, ABSENT] for owner, keys in found.items()}

    monkeypatch.setattr(owned.OwnedRows, "stored", once_too_many)
    answer = changed(client, invoice, lines=body)
    assert (len(seen), answer.status_code) == (2, 404 if body else 200)


def test_a_job_gives_dicts(client: TestClient) -> None:
    """The policy of the lines asks for a caller."""
    app: Any = client.app
    invoices = get_crud(app, Invoice)
    with unit(app, caller=caller_of(1, "admin")) as work:
        key = invoices.create(work, {"number": unique(), "lines": of(1)})["id"]
        invoices.update_many(work, [(key, {"lines": of(2, 3)})])
    assert lines(client, {"id": key}) == [(2, 1), (3, 1)]
    with pytest.raises(NotAuthenticatedError), unit(app) as work:
        invoices.update(work, key, {"lines": []})
    assert len(lines(client, {"id": key})) == 2


def test_members_are_documented(client: TestClient) -> None:
    """Only where the rows are owned, and their own requests write them."""
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    for name in ("InvoiceCreate", "InvoiceUpdate", "InvoiceBatchUpdate"):
        members = schemas[name]["properties"]
        assert {"lines", "approvals", "notes", "stays"} == members.keys() - {"number", "id"}
        element = "Change" if "Update" in name else "New"
        lines = members["lines"]
        assert (lines["type"], lines["maxItems"]) == ("array", 1000)
        assert lines["items"] == {"$ref": f"#/components/schemas/InvoiceLines{element}"}
        assert "lines" not in schemas[name].get("required", [])
    assert "position" in schemas["InvoiceUpdate"]["properties"]["lines"]["description"]
    new, change = schemas["InvoiceLinesNew"], schemas["InvoiceLinesChange"]
    assert set(new["properties"]) == {"product_id", "code", "position", "quantity"}
    assert set(change["properties"]) == {*new["properties"], "id"}
    assert (new["required"], change.get("required")) == (["position"], None)
    assert (change["if"], change["then"]) == ({"required": ["id"]}, {"properties": {"code": False}})
    assert change["else"] == {"required": ["position"]}
    assert schemas["CountryTownsChange"]["required"] == ["name"]
    assert "if" not in schemas["CountryTownsChange"]
    assert "towns" in schemas["CountryPut"]["properties"]
    assert "folders" not in schemas["FolderCreate"]["properties"]
    paths = client.get("/openapi.json").json()["paths"]
    assert "lines and approvals" in paths[INVOICES + "/{id}"]["delete"]["description"]
