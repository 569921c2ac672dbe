"""`?on=`: a batch or an import creates or changes rows by a unique key."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from tests.contract.entity_client import EntityClient, RunningApp
from tests.contract.problems import faulty_members, problem

NDJSON = {"Content-Type": "application/x-ndjson"}


def shelf(row: dict[str, Any]) -> dict[str, Any]:
    """Return the other required member of a book."""
    return {"category_id": row["category_id"]}


def upsert(entity: EntityClient, bodies: list[dict[str, Any]], **options: Any) -> Any:
    """Return what a batch by title did."""
    answer = entity.call("POST", "/batch?on=title", json=bodies, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_batch_creates_or_changes_by_a_unique_key(shop_app: RunningApp) -> None:
    """The response says which. Members that are left out stay as they are."""
    entity = shop_app.entity("books")
    stored, new = entity.make(), entity.body()
    done = upsert(entity, [new, {"title": stored["title"], "author": stored["author"], "price": 9.5, **shelf(stored)}])
    assert (done["created"], done["updated"], done["outcomes"]) == (1, 1, ["created", "updated"])
    assert done["items"][0]["title"] == new["title"]
    assert done["items"][1] == {**stored, "price": 9.5, "updated_at": done["items"][1]["updated_at"]}
    again = upsert(entity, [new])
    assert (again["created"], again["updated"], again["items"][0]["id"]) == (0, 1, done["items"][0]["id"])


def test_what_an_upsert_cannot_do_names_the_element(shop_app: RunningApp) -> None:
    """A repeated key, a broken reference; then nothing has changed. Other keys are 422."""
    entity = shop_app.entity("books")
    one, other = entity.body(), entity.body()
    told = problem(entity.call("POST", "/batch?on=title", json=[one, other, one]), 422)
    assert told["errors"][0]["loc"] == ["body", 2, "title"]
    stored = entity.make()
    wrong = {**other, "category_id": 999_999}
    change = {**one, "title": stored["title"]}
    assert '"body",1' in entity.call("POST", "/batch?on=title", json=[change, wrong]).text.replace(" ", "")
    assert entity.list(id=stored["id"])["items"] == [stored]
    for query in ("on=price", "on=", "on=id", "by=title"):
        assert faulty_members(entity.call("POST", f"/batch?{query}", json=[one])) == {query.partition("=")[0]}
        answer = entity.call("POST", f"/import?{query}", content=json.dumps(one), extra=NDJSON)
        assert faulty_members(answer) == {query.partition("=")[0]}


def test_an_import_creates_or_changes_by_a_unique_key(shop_app: RunningApp) -> None:
    """It answers with both numbers; a key that is twice in the file is 422."""
    entity = shop_app.entity("books")
    stored, new = entity.make(), entity.body()
    change = {"title": stored["title"], "author": "somebody else", "price": 3, **shelf(stored)}
    lines = "\n".join(map(json.dumps, (new, change)))
    answer = entity.call("POST", "/import?on=title", content=lines, extra=NDJSON)
    assert (answer.status_code, answer.json()) == (200, {"created": 1, "updated": 1})
    assert entity.list(id=stored["id"])["items"][0]["author"] == "somebody else"
    twice = entity.call("POST", "/import?on=title", content=f"{lines}\n{json.dumps(new)}", extra=NDJSON)
    assert problem(twice, 422)["errors"][0]["loc"] == ["body", 2, "title"]
    wrong = json.dumps({**new, "category_id": 999_999})
    told = problem(entity.call("POST", "/import?on=title", content=f"{wrong}\n", extra=NDJSON), 409)
    assert told["errors"][0]["loc"][:2] == ["body", 0]


def test_two_upserts_at_once_make_no_second_row(shop_app: RunningApp) -> None:
    """In opposite orders, several times: each is 200, and every title is there once."""
    entity = shop_app.entity("books")
    for _ in range(3):
        bodies = [entity.body() for _ in range(6)]
        with ThreadPoolExecutor(4) as threads:
            orders = [bodies, bodies[::-1], bodies[3:] + bodies[:3], bodies]
            answers = list(threads.map(lambda sent: entity.call("POST", "/batch?on=title", json=sent), orders))
        assert [answer.status_code for answer in answers] == [200] * 4, [answer.text for answer in answers]
        assert sum(answer.json()["created"] for answer in answers) == len(bodies)
        for body in bodies:
            assert entity.list(title=body["title"])["total"] == 1


def test_an_idempotency_key_belongs_to_on(shop_app: RunningApp) -> None:
    """The same key with another `on` is another request."""
    entity = shop_app.entity("books")
    key, bodies = {"Idempotency-Key": str(uuid4())}, [entity.body()]
    first = upsert(entity, bodies, extra=key)
    assert upsert(entity, bodies, extra=key) == first
    problem(entity.call("POST", "/batch", json=bodies, extra=key), 422)
