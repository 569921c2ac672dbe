"""Bodies that are too large, lie about their size or never end, and extreme numbers, names and paths (OWASP API4).

The tests find operations in the OpenAPI document, so they attack new ones too.
"""

import gzip
import itertools
import json
from collections.abc import Iterator

import pytest

from rowhouse.core.settings import Settings
from tests.conftest import PASSWORD, unique
from tests.contract.problems import problem
from tests.security.attacked_app import API, AttackedApp

JSON, FORM, MULTIPART = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"
FILES = ("application/x-ndjson", "text/csv")
MIB = 1024 * 1024
DEEP = 100_000
MOST_TOLD = 2 * MIB
BOMBS: dict[str, bytes] = {
    "brackets": b"[" * DEEP,
    "closed brackets": b"[" * DEEP + b"]" * DEEP,
    "braces": b'{"a":' * DEEP,
    "depth in a member": b'{"name":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "an integer of 5,000 digits": b'{"quantity": ' + b"9" * 5000 + b', "name": ' + b"9" * 5000 + b"}",
    "that integer in a list": b"[" + b"9" * 5000 + b"]",
    "a number beyond all": b'{"price": 1e999999, "rating": -1e999999, "quantity": 1e999999, "id": 1e999999}',
    "no number": b'{"price": NaN, "quantity": Infinity, "rating": -Infinity}',
    "many members": b"{" + b",".join(b'"m%d":1' % number for number in range(50_000)) + b"}",
    "one member many times": b'{"name":1' + b',"name":1' * 90_000 + b"}",
    "many elements": b"[" + b",".join([b"{}"] * 100_000) + b"]",
    "no UTF-8": b'{"name": "\xff\xfe"}',
    "another Unicode": '{"name": "x"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"name": "x"}',
    "half a character": b'{"name": "\\ud800", "email": "\\udfff@example.com"}',
    "NUL": b'{"name": "\\u0000", "email": "a\\u0000@example.com", "refresh_token": "\\u0000"}\x00',
    "a long name": b'{"' + b"x" * 900_000 + b'": 1}',
}  # fmt: skip


def pieces(size: int) -> Iterator[bytes]:
    """Return a body that arrives in pieces without a length."""
    for _ in range(0, size, 512):
        yield b" " * 512


def test_the_bounds_are_what_the_contract_says() -> None:
    """1 MiB, and 64 MiB for a file."""
    assert (Settings().max_body_bytes, Settings().max_import_bytes) == (MIB, 64 * MIB)


def test_a_length_over_the_bound_is_413_at_every_operation(served: AttackedApp) -> None:
    """Also at those without a body, and for a false length."""
    others = itertools.cycle(("{}000", "9" * 5000, "000{}"))
    with served.unchanged():
        for method, path in served.operations():
            bound = 4096 if path.endswith("/import") else 1024
            for length in ("{}", next(others)):
                headers = {**served.admin, "Content-Length": length.format(bound + 1)}
                answer = served.client.request(method, path, content=b"{}", headers=headers)
                problem(answer, 413, "content_too_large")


def test_a_body_over_the_bound_is_413_whatever_it_says(served: AttackedApp) -> None:
    """In pieces without a length, and with a length that is too small: the received bytes count."""
    with served.unchanged():
        for method, path in served.operations(JSON, FORM, *FILES):
            kind = {"Content-Type": JSON if (method, path) in served.operations(JSON) else FORM}
            bound = 1024
            if path.endswith("/import"):
                kind, bound = {"Content-Type": "text/csv"}, 4096
            for lie in ({}, {"Content-Length": "2"}, {"Content-Length": "none"}, {"Content-Length": "-1"}):
                headers = {**served.admin, **kind, **lie}
                answer = served.client.request(method, path, content=pieces(2 * bound), headers=headers)
                problem(answer, 413, "content_too_large")


def test_a_compressed_body_is_415(attacked: AttackedApp) -> None:
    """A kilobyte could become a gigabyte. `identity` is accepted."""
    packed = gzip.compress(b" " * MIB)
    others = itertools.cycle(("deflate", "br", "identity, gzip", "GZIP"))
    with attacked.unchanged():
        for method, path in attacked.operations():
            for coding in ("gzip", next(others)):
                headers = {**attacked.admin, "Content-Type": JSON, "Content-Encoding": coding}
                answer = attacked.client.request(method, path, content=packed, headers=headers)
                problem(answer, 415, "unsupported_media_type")
    headers = {**attacked.admin, "Content-Type": JSON, "Content-Encoding": "identity"}
    body = json.dumps({"name": unique("plain")}).encode()
    assert attacked.client.post(f"{API}/categories", content=body, headers=headers).status_code == 201


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_json_causes_more_than_a_client_error(attacked: AttackedApp, bomb: str) -> None:
    """At every operation with a JSON body.

    422 (or 403 or 404, if the caller or the row comes first), and nothing is stored.
    """
    headers = {**attacked.admin, "Content-Type": JSON}
    statuses = set()
    with attacked.unchanged():
        for method, path in attacked.operations(JSON):
            answer = attacked.client.request(method, path, content=BOMBS[bomb], headers=headers)
            statuses.add(answer.status_code)
            assert len(answer.content) < MOST_TOLD
            if answer.status_code != 422:
                problem(answer, answer.status_code)
                assert answer.status_code in (403, 404), (method, path, answer.text)
    assert 422 in statuses


def test_of_a_repeated_member_one_value_is_validated_and_stored(attacked: AttackedApp) -> None:
    """The last one is validated and stored, generated and hand-written."""
    headers, email = {**attacked.admin, "Content-Type": JSON}, f"{unique('twice')}@example.com"
    start = f'{{"email": "{email}", "password": "{PASSWORD}", "full_name": "x", '
    for roles, status in ((("user", "admin"), 422), (("admin", "user"), 201)):
        body = start + ", ".join(f'"role": "{role}"' for role in roles) + "}"
        answer = attacked.client.post(f"{API}/users", content=body, headers=headers)
        assert answer.status_code == status
    assert answer.json()["role"] == "user"
    first, last = unique("first"), unique("last")
    answer = attacked.client.post(
        f"{API}/categories", content=f'{{"name": "{first}", "name": "{last}"}}', headers=headers
    )
    assert (answer.status_code, answer.json()["name"]) == (201, last)


def parts(count: int, name: str = "username") -> bytes:
    """Return a body of `multipart/form-data`."""
    part = f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\nv\r\n'
    return (part * count + "--x--\r\n").encode()


FORMS: dict[str, tuple[str, bytes]] = {
    "100,000 fields": (FORM, b"a=1&" * 100_000),
    "100,000 names": (FORM, "&".join(f"n{number}=1" for number in range(100_000)).encode()),
    "nothing but ampersands": (FORM, b"&" * MIB),
    "one long name": (FORM, b"x" * MIB),
    "one field many times": (FORM, b"username=a&" * 50_000 + b"password=b"),
    "broken escapes": (FORM, b"username=%&password=%zz%00%ff"),
    "10,000 parts": (f"{MULTIPART}; boundary=x", parts(10_000)),
    "files": (f"{MULTIPART}; boundary=x", b'--x\r\nContent-Disposition: form-data; name="username"; filename="../../x"\r\n\r\nv\r\n--x--\r\n'),
    "no end": (f"{MULTIPART}; boundary=x", b'--x\r\nContent-Disposition: form-data; name="username"\r\n\r\n' + b"v" * 100_000),
    "no boundary": (MULTIPART, parts(1)),
    "an empty boundary": (f"{MULTIPART}; boundary=", parts(1)),
    "a long boundary": (f"{MULTIPART}; boundary={'x' * 100_000}", parts(1)),
    "a header without an end": (f"{MULTIPART}; boundary=x", b"--x\r\nX: " + b"y" * 500_000),
    "no names": (f"{MULTIPART}; boundary=x", b"--x\r\n\r\nv\r\n--x--\r\n"),
    "JSON": (JSON, b'{"username": "admin@example.com", "password": "admin-password"}'),
    "nothing": ("", b""),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_no_form_causes_more_than_a_client_error(attacked: AttackedApp, form: str) -> None:
    """An invalid OAuth2 password form is rejected and starts no session."""
    kind, body = FORMS[form]
    with attacked.unchanged():
        answer = attacked.client.post(f"{API}/auth/login", content=body, headers={"Content-Type": kind})
        problem(answer, answer.status_code)
        assert answer.status_code in (400, 401, 413, 415, 422)


# No server takes more of a URL: httptools ends at 64 KiB.
LONGEST = 60_000
QUERIES: tuple[str, ...] = (
    f"title={'x' * LONGEST}", "title=x&" * 7_000, f"sort={','.join(['title'] * 10_000)}", f"id__in={','.join(['1'] * 30_000)}",
    f"title__contains={'%25' * 20_000}", f"search={'a' * LONGEST}", f"cursor={'x' * LONGEST}", f"cursor={'.' * LONGEST}", f"fields={'title,' * 10_000}",
    f"expand={'category,' * 6_000}", f"page={'9' * 5000}", f"size={'9' * 5000}", f"price__gt={'9' * 5000}", "price__gt=1e999999",
    f"created_at__gt={'9' * 5000}", "&" * LONGEST, "=" * LONGEST, "%" * 20_000, "%00=%00", "title=%ff%fe", "title=%ed%a0%80", "title=%00", f"{'n' * LONGEST}=1",
)  # fmt: skip


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:12])
def test_no_query_causes_more_than_a_client_error(attacked: AttackedApp, query: str) -> None:
    """Of a list, an export, a batch and a hand-written route."""
    statuses = []
    with attacked.unchanged():
        for method, path in (
            ("GET", "/books"),
            ("GET", "/books/export"),
            ("DELETE", "/books/batch"),
            ("GET", "/users/me"),
        ):
            answer = attacked.client.request(method, f"{API}{path}?{query}", headers=attacked.admin)
            statuses.append(answer.status_code)
            assert answer.status_code in (200, 422), answer.text[:200]
    assert 422 in statuses


PATHS = ("/books/" + "9" * LONGEST, "/books/" + "x" * LONGEST, "/" + "x" * LONGEST, "/a" * 30_000, "/books/%00", "/books/1%00", "/bookings/%00/cancel", "/books/1.0", "/books/-1",
         "/books/0x1", "/books/1e1", "/books/%EF%BC%91", "/bookings/" + "9" * 5000 + "/cancel", "/books/%ff", "/books/..%2f..%2fusers", "/books/1;x=1")  # fmt: skip
LONG = "x" * 100_000
HEADERS = ("Authorization", "Content-Type", "Content-Length", "Idempotency-Key", "If-Match", "If-None-Match", "X-Request-ID", "Origin", "Accept", "Host", "Cookie",
           "Range", "Transfer-Encoding", "Accept-Encoding", "Content-Encoding", "X-Anything")  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path[:20]} {len(path)}")
def test_no_path_causes_more_than_a_client_error(attacked: AttackedApp, path: str) -> None:
    """For GET, PATCH, DELETE and POST."""
    with attacked.unchanged():
        for method in ("GET", "PATCH", "DELETE", "POST"):
            answer = attacked.client.request(method, f"{API}{path}", json={"name": "x"}, headers=attacked.admin)
            problem(answer, answer.status_code)
            assert answer.status_code in (404, 405, 422)


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize(
    "value",
    [LONG, "\xff\x00\x01", "", '"x", ' * 10_000],
    ids=lambda value: f"{value[:5]!r} {len(value)}",
)
def test_no_header_causes_more_than_a_client_error(attacked: AttackedApp, header: str, value: str) -> None:
    """Of a read, a create, a change and a hand-written route: never a 500, and a rejected request stores nothing."""
    refs = [(b"%s" % header.lower().encode(), value.encode("latin-1"))]
    for method, path in (
        ("GET", "/categories"),
        ("POST", "/categories/batch"),
        ("PATCH", "/categories/1"),
        ("POST", "/users"),
        ("POST", "/auth/logout"),
    ):
        given = {
            name.lower().encode(): content.encode()
            for name, content in {**attacked.admin, "Content-Type": JSON}.items()
        }
        headers = [*((name, content) for name, content in given.items() if name != refs[0][0]), *refs]
        answer = attacked.client.request(method, f"{API}{path}", content=b"[]", headers=headers)
        assert answer.status_code < 500, (method, path, answer.text)
