"""Keys that clients write: in paths, `Location`, `ids`, PUT and versions, over the entities with keys of every kind."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.testclient import TestClient

from rowhouse.cli.project import Project
from rowhouse.testing import Headers, Make
from tests.conftest import ROOT
from tests.sample_entities.keys import APP
from tests.sample_entities.keys.models import Country, Course, Student

API = "/api/v1"
TEXTS = (
    "FR", "a/b", "a/", "/", "a,b", "a;b", 'say "hi"', "50%", "%41", "a b", "a+b", "a?b#c", "Übung", "日本", "😀",
    "...", "a\\b", "x/restore", "x/history", "batch/", "'", "é", "~",
)  # fmt: skip


@pytest.fixture(scope="session")
def rowhouse_project() -> Project:
    """The application with keys of every kind."""
    return Project(ROOT, app=APP, source="backend")


def test_a_text_is_found_again_where_location_leads(client: TestClient, admin: Headers) -> None:
    """Whatever its characters; it is changed, read, deleted, restored and listed with its history there."""
    for code in TEXTS:
        made = client.post(f"{API}/countries", json={"code": code, "name": "somewhere"}, headers=admin)
        assert made.status_code == 201, made.text
        path = made.headers["location"]
        assert client.get(path).json() == made.json(), path
        assert client.patch(path, json={"name": "there"}, headers=admin).json()["code"] == code
        assert client.get(f"{path}/history").json()["items"][1]["after"]["name"] == "there"
        assert client.delete(path, headers=admin).status_code == 204
        assert client.get(path).status_code == 404
        listed = client.get(f"{API}/countries/deleted", params={"id": code}, headers=admin).json()
        assert [row["code"] for row in listed["items"]] == [code]
        assert client.post(f"{path}/restore", headers=admin).json()["code"] == code
    assert client.get(f"{API}/countries").json()["total"] == len(TEXTS)


def test_a_batch_names_texts_in_quotes(client: TestClient, admin: Headers) -> None:
    """Commas separate keys unless they stand in double quotes, as in CSV."""
    bodies = [{"code": code, "name": "x"} for code in ("a,b", 'c"d', "e;f")]
    assert client.post(f"{API}/countries/batch", json=bodies, headers=admin).status_code == 201
    ids = '"a,b","c""d",e;f'
    assert client.delete(f"{API}/countries/batch", params={"ids": ids}, headers=admin).status_code == 204
    assert client.get(f"{API}/countries").json()["total"] == 0


@pytest.mark.parametrize("code", ["", ".", "..", "batch", "deleted", "export", "import"])
def test_a_key_that_no_path_can_name_is_422(client: TestClient, admin: Headers, code: str) -> None:
    """Nothing is stored that could never be read again."""
    answer = client.post(f"{API}/countries", json={"code": code, "name": "x"}, headers=admin)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["loc"] == ["body", "code"]


def enrol(make: Make, client: TestClient, admin: Headers, *, codes: tuple[str, ...]) -> list[Any]:
    """Store a student who is enrolled in courses with these codes. Return the answers."""
    student = make(Student)["id"]
    for code in codes:
        make(Course, code=code)
    bodies = [{"student_id": student, "course_code": code, "since": "2030-01-31"} for code in codes]
    return [client.post(f"{API}/enrolments", json=body, headers=admin) for body in bodies]


def test_several_columns_are_one_segment(client: TestClient, admin: Headers, make: Make) -> None:
    """A part with a comma stands in quotes; an encoded comma separates too, as generated clients write it."""
    plain, comma, slash = enrol(make, client, admin, codes=("math", "a,b", "x/y"))
    student = plain.json()["student_id"]
    assert plain.headers["location"] == f"{API}/enrolments/{student},math"
    assert unquote(comma.headers["location"]) == f'{API}/enrolments/{student},"a,b"'
    for made in (plain, comma, slash):
        path = made.headers["location"]
        assert client.get(path).json() == made.json()
        assert client.get(path.replace(",", "%2C")).json() == made.json()
    for wrong in ("7", "7,a,b", "x,math"):
        assert client.get(f"{API}/enrolments/{wrong}").status_code == 422
    missing = client.get(f"{API}/enrolments/{student},none").json()
    assert missing["detail"] == f"There is no Enrolment with the student_id,course_code {student},none."


def test_a_batch_names_rows_by_several_columns(client: TestClient, admin: Headers, make: Make) -> None:
    """Each column is a member of a change; in `ids`, semicolons separate the keys."""
    rows = [made.json() for made in enrol(make, client, admin, codes=("math", "a,b", "c;d"))]
    student = rows[0]["student_id"]
    changes = [{"student_id": student, "course_code": row["course_code"], "grade": 3} for row in reversed(rows)]
    changed = client.patch(f"{API}/enrolments/batch", json=changes, headers=admin)
    assert [row["course_code"] for row in changed.json()] == ["c;d", "a,b", "math"]
    twice = client.patch(f"{API}/enrolments/batch", json=[changes[0], changes[0]], headers=admin)
    assert twice.json()["errors"][0]["loc"] == ["body", 1, "student_id"]
    ids = f'{student},math;{student},"a,b";{student},"c;d"'
    assert client.delete(f"{API}/enrolments/batch", params={"ids": ids}, headers=admin).status_code == 204
    assert client.get(f"{API}/enrolments").json()["total"] == 0


def test_a_reference_of_several_columns_is_one(client: TestClient, admin: Headers, make: Make) -> None:
    """Each of its columns is somewhere in the other table, but not both in one row."""
    rows = [enrol(make, client, admin, codes=(code,))[0].json() for code in ("math", "art")]
    right = {"student_id": rows[0]["student_id"], "course_code": "math", "points": 1}
    assert client.post(f"{API}/grades", json=right, headers=admin).status_code == 201
    wrong = client.post(f"{API}/grades", json={**right, "course_code": "art"}, headers=admin)
    assert (wrong.status_code, wrong.json()["code"]) == (409, "reference_not_found")
    assert wrong.json()["detail"].startswith(
        "student_id, course_code: there is nothing with the student_id, course_code"
    )
    batch = client.post(f"{API}/grades/batch", json=[right, {**right, "course_code": "art"}], headers=admin)
    assert (batch.status_code, batch.json()["code"]) == (409, "reference_not_found")


def test_put_creates_and_then_changes(client: TestClient, admin: Headers) -> None:
    """201 with `Location`, then 200; the body may name the same key, and the same request again is the same."""
    path, body = f"{API}/countries/F%2FR", {"code": "F/R", "name": "France", "population": 68}
    made = client.put(path, json=body, headers=admin)
    assert (made.status_code, made.headers["location"], made.json()) == (201, path, body)
    again = client.put(path, json=body, headers=admin)
    assert (again.status_code, again.json()) == (200, body)
    assert client.put(path, json={"name": "Francia"}, headers=admin).json() == {**body, "name": "Francia"}
    assert client.put(path, json={}, headers=admin).status_code == 400
    other = client.put(path, json={"code": "DE", "name": "x"}, headers=admin)
    assert (other.status_code, other.json()["errors"][0]["loc"]) == (422, ["body", "code"])
    assert client.put(f"{API}/countries/DE", json={"population": 1}, headers=admin).status_code == 422
    assert client.put(f"{API}/countries/DE", json={"name": "x"}).status_code == 401
    assert client.get(f"{API}/countries").json()["total"] == 1


def test_put_honours_versions(client: TestClient, admin: Headers) -> None:
    """`If-None-Match: *` creates only, `If-Match` changes only; neither changes anything otherwise."""
    path, only_new = f"{API}/countries/FR", {**admin, "If-None-Match": "*"}
    assert client.put(path, json={"name": "x"}, headers={**admin, "If-Match": "*"}).status_code == 412
    made = client.put(path, json={"name": "France"}, headers=only_new)
    assert made.status_code == 201
    assert client.put(path, json={"name": "y"}, headers=only_new).status_code == 412
    tag = made.headers["etag"]
    assert client.put(path, json={"name": "z"}, headers={**admin, "If-None-Match": tag}).status_code == 412
    assert client.put(path, json={"name": "z"}, headers={**admin, "If-None-Match": '"other"'}).status_code == 200
    assert client.put(path, json={"name": "q"}, headers={**admin, "If-Match": tag}).status_code == 412
    assert client.get(path).json()["name"] == "z"


def test_put_makes_a_link_of_nothing_but_a_key(client: TestClient, admin: Headers, make: Make) -> None:
    """An empty body is enough, any number of times; what is fixed at creation may be repeated, not changed."""
    one, other = make(Student)["id"], make(Student)["id"]
    path = f"{API}/friendships/{one},{other}"
    answers = [client.put(path, json={}, headers=admin) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert [answer.json() for answer in answers] == [{"student_id": one, "friend_id": other}] * 2
    path = f"{API}/enrolments/{one},{make(Course, code='math')['code']}"
    for status, day in ((201, 1), (200, 1), (422, 2)):
        assert client.put(path, json={"since": f"2030-01-0{day}"}, headers=admin).status_code == status
    assert client.put(f"{API}/friendships/{one},0", json={}, headers=admin).status_code == 409


def test_put_writes_only_rows_of_the_caller(client: TestClient, admin: Headers, user: Headers, make: Make) -> None:
    """Where the owner is a part of the key, the key of somebody else is 404."""
    make(Country, code="FR")
    mine, other = f"{API}/favourites/{user.id},FR", f"{API}/favourites/{admin.id},FR"
    assert client.put(mine, json={"stars": 3}, headers=user).status_code == 201
    assert client.put(other, json={"stars": 3}, headers=user).status_code == 404
    assert client.put(mine, json={"stars": 4}, headers=user).json()["stars"] == 4


def test_two_puts_at_once_make_one_row(client: TestClient, admin: Headers) -> None:
    """One creates, the others change; none fails."""
    with ThreadPoolExecutor(4) as threads:
        for number in range(5):
            path = f"{API}/countries/race-{number}"
            asked = [threads.submit(client.put, path, json={"name": str(n)}, headers=admin) for n in range(4)]
            answers = sorted(answer.result().status_code for answer in asked)
            assert answers == [200, 200, 200, 201]
    assert client.get(f"{API}/countries").json()["total"] == 5


def test_a_row_without_timestamps_has_a_version(client: TestClient, admin: Headers) -> None:
    """It follows from the values: the same values are the same version, and a stale one changes and deletes nothing."""
    made = client.post(f"{API}/heros", json={"name": "Deadpond"}, headers=admin)
    path, tag = made.headers["location"], made.headers["etag"]
    assert client.get(path).headers["etag"] == tag
    changed = client.patch(path, json={"name": "Rusty"}, headers={**admin, "If-Match": tag})
    assert changed.headers["etag"] != tag
    stale = {**admin, "If-Match": tag}
    assert client.patch(path, json={"name": "x"}, headers=stale).status_code == 412
    assert client.delete(path, headers=stale).status_code == 412
    assert client.patch(path, json={"name": "Deadpond"}, headers=admin).headers["etag"] == tag


def test_a_key_of_the_database_is_not_the_clients(client: TestClient, admin: Headers) -> None:
    """Its default makes it, in a batch of one row too."""
    given = client.post(f"{API}/serials", json={"serial": "T1", "note": "x"}, headers=admin)
    assert (given.status_code, given.json()["errors"][0]["loc"]) == (422, ["body", "serial"])
    made = client.post(f"{API}/serials/batch", json=[{"note": "x"}], headers=admin)
    assert [row["serial"][0] for row in made.json()] == ["T"]
