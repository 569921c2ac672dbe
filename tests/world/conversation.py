"""A fixed script of requests, whose responses every database must return byte for byte: `speak(client)`.

The clock stands still within a request and advances between two. Requests that fail come last, because on PostgreSQL a
failed insert still takes a number from its sequence.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.testclient import TestClient

from rowhouse.core.clock import set_clock
from rowhouse.core.openapi import resolved
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in

API = "/api/v1"
START, TICK = datetime(2030, 3, 31, 0, 59, 59, 999_999, tzinfo=UTC), timedelta(milliseconds=100)
COMPARED_HEADERS = (
    "content-type",
    "etag",
    "location",
    "allow",
    "retry-after",
    "www-authenticate",
    "content-disposition",
)
JSON = "application/json"
Row = dict[str, Any]

# Texts that lower(), ILIKE, collations and escapes treat in different ways.
TEXTS = (
    "Straße", "STRASSE", "ﬁnal Σίσυφος", "σίσυφοσ ς", "İstanbul", "istanbul", "ıĞ", "ǅ Ǆ ǆ", "Éclair", "E\u0301clair",
    "100% sure", "snake_case", "back\\slash \\x41 \\n", "it's \"quoted\"", "😀 smile \U0010fffd", " space ", "\u0085next\u2028",
    "tab\tline\nfeed\r", "äpfel", "Zebra", "apple", "Ωhm Ω", "K kelvin", "ŉ", "ﬄ", "ẞ", "$1 %(x)s :name", "--; DROP", "ﬀ", "ς",
)  # fmt: skip
FLOATS = (0.1, 1 / 3, 1e-7, 1e22, 123456789.12345679, -2.5, 1.7976931348623157e308, 5e-324, 0.30000000000000004, 100.0)
INSTANTS = (
    "2030-03-31T01:59:59.999999+01:00", "0002-01-01T00:00:00Z", "9998-12-31T23:59:59.999999Z", "2030-10-27T02:30:00+02:00",
    "1969-12-31T23:59:59.000001Z", "2030-03-10T07:30:00Z", "1883-11-18T17:00:00Z", "2030-06-30T12:00:00.5-07:00",
)  # fmt: skip
DAYS = ("0001-01-01", "9999-12-31", "2028-02-29", "1582-10-10", "2030-03-31", "1969-12-31")
CLOCKS = ("00:00:00", "23:59:59.999999", "12:30:00", "07:05:09.000001", "01:02:03.1")
SPANS = ("PT0S", "P1DT2H3M4.5S", "-P1D", "-PT0.000001S", "P999DT23H59M59.999999S", "PT90M", "-PT1H30M", "P30D")
AMOUNTS = ("0", "0.01", "-0.01", "9999999999999.99", "-9999999999999.99", "12.5", "12.50", "1000000")
POSITIVES = ("0.001", "500", "12.345", "1.5", "499.999")
BIG = (2**62 + 1, -(2**63), 2**63 - 1, 0, 1, -1)
DOCUMENTS: tuple[Mapping[str, Any], ...] = (
    {"b": 1, "a": [1.5, None, True], "ä": "\\u0041 \U0001f600"}, {}, {"deep": {"er": [[[]], {}]}}, {"n": 2**53 + 1, "f": 1e-7},
    {"text": "it's \\ \" \n"}, {"": "empty", " ": 0.1},
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What came back, as far as it is promised to be the same."""

    request: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __str__(self) -> str:
        return f"{self.request}\n    {self.status} {dict(self.headers)}\n    {self.body[:600]!r}"


@dataclass
class Speaker:
    """Sends one request after another and keeps the answers."""

    client: TestClient
    answers: list[Answer] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)

    def clock(self) -> datetime:
        """The time of the script."""
        return START + len(self.answers) * TICK

    def say(self, method: str, path: str, *, expected: int | None = None, **options: Any) -> Any:
        """Send it; what came back, as JSON where it is that."""
        headers = {**self.headers, **options.pop("headers", {})}
        answer = self.client.request(method, f"{API}{path}", headers=headers, **options)
        told = f"{len(self.answers)}: {method} {path} {options.get('params', '')}{options.get('json', '')}"
        kept = tuple((name, answer.headers[name]) for name in COMPARED_HEADERS if name in answer.headers)
        self.answers.append(Answer(told[:400], answer.status_code, kept, answer.content))
        assert answer.status_code < 500, f"{told}: {answer.text}"
        assert expected in {None, answer.status_code}, f"{told}: {answer.status_code} {answer.text}"
        return answer.json() if answer.headers.get("content-type", "").startswith(JSON) else answer.content


def speak(client: TestClient) -> list[Answer]:
    """The answers to the whole script, of the odd application on an empty database."""
    speaker = Speaker(client)
    with set_clock(speaker.clock):
        speaker.headers = sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)
        document = resolved(client.get("/openapi.json").json())
        for part in (
            _make_rows,
            _ask_by_every_parameter,
            _ask_for_texts,
            _walk,
            _read_files,
            _change_and_undo,
            _be_refused,
        ):
            part(speaker, document)
    return speaker.answers


def everything(number: int) -> Row:
    """A body with every type, its values among the awkward ones."""
    text = TEXTS[number % len(TEXTS)]
    return {
        "text": text,
        "short_text": text[:20],
        "patterned": f"AB-{number}",
        "indexed_text": TEXTS[number * 7 % len(TEXTS)],
        "address": f"Somebody{number}@Example.COM",
        "whole": (0, -1, 2**31 - 1, -(2**31), 42)[number % 5],
        "percentage": number % 101,
        "small": (0, -(2**15), 2**15 - 1)[number % 3],
        "small_share": 1 + number % 8,
        "big": BIG[number % len(BIG)],
        "ratio": FLOATS[number % len(FLOATS)],
        "flag": number % 2 == 0,
        "amount": AMOUNTS[number % len(AMOUNTS)],
        "positive": POSITIVES[number % len(POSITIVES)],
        "occurs_at": INSTANTS[number % len(INSTANTS)],
        "day": DAYS[number % len(DAYS)],
        "clock": CLOCKS[number % len(CLOCKS)],
        "span": SPANS[number % len(SPANS)],
        "reference": f"00000000-0000-4000-8000-{number:012}",
        "colour": ("red", "green", "blue")[number % 3],
        "shape": ("round", "square")[number % 2],
        "level": (1, 10, -2)[number % 3],
        "document": DOCUMENTS[number % len(DOCUMENTS)],
        "tags": [text, "", "ä"][: number % 4],
    }


MAYBE = ("text", "short_text", "whole", "small", "big", "ratio", "flag", "amount", "occurs_at", "day", "clock", "span",
         "reference", "colour", "shape", "level", "document", "tags")  # fmt: skip


def maybe(number: int) -> Row:
    """A body in which every third member is null."""
    full = everything(number)
    return {name: None if (number + place) % 3 == 0 else full[name] for place, name in enumerate(MAYBE)}


def _make_rows(speaker: Speaker, _document: Any) -> None:
    for number in range(len(TEXTS)):
        speaker.say("POST", "/everythings", json=everything(number), expected=201)
    speaker.say("POST", "/maybes/batch", json=[maybe(number) for number in range(12)], expected=201)
    speaker.say(
        "POST", "/presets", json={"name": "all defaults", "reference": str(START.year).rjust(32, "0")}, expected=201
    )
    for label in ("Straße", "apple", None, "😀", "Ärger", "zebra", "ZEBRA"):
        crate = speaker.say("POST", "/crates", json={"label": label, "place": label or "hall"}, expected=201)
        body = {
            "code": f"c {label}",
            "title": label or "none",
            "crate_id": crate["id"],
            "seen_at": INSTANTS[crate["id"] % 8],
        }
        speaker.say("POST", "/exhibits", json=body, headers={"Idempotency-Key": f"key-{crate['id']}"}, expected=201)
        speaker.say("POST", "/exhibits", json=body, headers={"Idempotency-Key": f"key-{crate['id']}"}, expected=201)


def _ask_by_every_parameter(speaker: Speaker, document: Any) -> None:
    """Each filter that the document has of the two widest entities, with a value of a stored row."""
    for path in ("everythings", "maybes"):
        rows = speaker.say("GET", f"/{path}", params={"size": 20})["items"]
        for parameter in document["paths"][f"{API}/{path}"]["get"]["parameters"]:
            for value in _values_for(parameter["name"], rows):
                speaker.say("GET", f"/{path}", params={parameter["name"]: value, "fields": "id"})


def _values_for(parameter: str, rows: list[Row]) -> Iterator[str]:
    column, _, operator = parameter.partition("__")
    if column not in rows[0]:
        return
    values = [row[column] for row in rows if row[column] is not None][:9:4]
    written = [value if isinstance(value, str) else json.dumps(value) for value in values]
    if operator == "isnull":
        yield from ("true", "false")
    elif operator == "between" and written:
        yield ",".join(_quoted(text) for text in (written[0], written[-1]))
    elif operator in {"in", "not_in"}:
        yield ",".join(_quoted(text) for text in written)
    else:
        yield from written


def _quoted(text: str) -> str:
    """As in CSV, so that a value may hold a comma."""
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _ask_for_texts(speaker: Speaker, _document: Any) -> None:
    for text in TEXTS:
        for written in (text, text.lower(), text.upper()):
            speaker.say("GET", "/everythings", params={"search": written, "fields": "id,text"})
        for word in (
            "text__contains",
            "indexed_text__startswith",
            "short_text__endswith",
            "text",
            "text__ne",
            "text__gt",
        ):
            speaker.say("GET", "/everythings", params={word: text[:20], "fields": "id"})
        speaker.say("GET", "/crates", params={"search": text, "sort": "-label"})


def _walk(speaker: Speaker, document: Any) -> None:
    """Sort by each column, up and down, and go through the list by cursors."""
    for path in ("everythings", "maybes", "exhibits"):
        listed = document["paths"][f"{API}/{path}"]["get"]["parameters"]
        sort = next(parameter for parameter in listed if parameter["name"] == "sort")["schema"]
        for name in _choices(sort, document):
            page = speaker.say("GET", f"/{path}", params={"sort": name, "size": 7}, expected=200)
            while page["next_cursor"]:
                page = speaker.say("GET", f"/{path}", params={"cursor": page["next_cursor"]}, expected=200)
    speaker.say("GET", "/exhibits", params={"expand": "crate", "sort": "-title", "page": 2, "size": 3}, expected=200)
    speaker.say("GET", "/crates", params={"expand": "exhibits", "fields": "id,label"}, expected=200)


def _choices(schema: Any, document: Any) -> list[str]:
    """Every value that the `sort` parameter names."""
    while "$ref" in schema or "items" in schema or "anyOf" in schema:
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        else:
            schema = schema["items"] if "items" in schema else schema["anyOf"][0]
    return list(schema["enum"])


def _read_files(speaker: Speaker, _document: Any) -> None:
    for path in ("everythings", "maybes", "presets", "exhibits"):
        for form in ("csv", "ndjson"):
            speaker.say("GET", f"/{path}/export", params={"format": form, "sort": "-id"}, expected=200)
    lines = "\n".join(json.dumps(maybe(number)) for number in range(20, 26))
    speaker.say("POST", "/maybes/import", content=lines, headers={"Content-Type": "application/x-ndjson"}, expected=201)
    table = 'text,ratio,occurs_at,span\r\n\'=1+1,1e-7,2030-01-01T00:00:00Z,P1D\r\n"a\r\nb",,,\r\n'
    speaker.say("POST", "/maybes/import", content=table, headers={"Content-Type": "text/csv"}, expected=201)
    speaker.say("GET", "/maybes", params={"sort": "-id", "size": 10}, expected=200)


def _change_and_undo(speaker: Speaker, _document: Any) -> None:
    for number in range(1, 7):
        changed = {name: value for name, value in everything(number + 11).items() if name != "patterned"}
        speaker.say("PATCH", f"/everythings/{number}", json=changed, expected=200)
        speaker.say("PUT", f"/maybes/{number}", json=maybe(number + 1), expected=200)
        speaker.say("GET", f"/everythings/{number}", expected=200)
        speaker.say("GET", f"/everythings/{number}/history", expected=200)
    speaker.say(
        "PATCH", "/maybes/batch", json=[{"id": n, "text": TEXTS[n], "span": SPANS[n]} for n in (1, 2, 3)], expected=200
    )
    speaker.say("DELETE", "/everythings/2", expected=204)
    speaker.say("GET", "/everythings/2", expected=404)
    speaker.say("POST", "/everythings/2/restore", expected=200)
    speaker.say("DELETE", "/maybes/batch", params={"ids": "4,5"}, expected=204)
    speaker.say("GET", "/everythings/2/history", params={"sort": "-id"}, expected=200)


def _be_refused(speaker: Speaker, _document: Any) -> None:
    """What is refused by values, by versions and by the database."""
    speaker.say("PATCH", "/exhibits/1", json={"title": "x"}, headers={"If-Match": '"stale"'}, expected=412)
    speaker.say("DELETE", "/crates/1", expected=409)
    speaker.say("PATCH", "/exhibits/1", json={"crate_id": 2_000_000}, expected=409)
    speaker.say("PATCH", "/exhibits/1", json={"code": "c apple"}, expected=409)
    speaker.say("POST", "/crates", json={"label": "apple"}, expected=409)
    speaker.say("POST", "/crates/batch", json=[{"label": "new"}, {"label": "new"}], expected=409)
    speaker.say("POST", "/exhibits", json={"code": "y", "title": "y", "crate_id": 999}, expected=409)
    for name, value in (
        ("text", "nul \0"), ("whole", 2**31), ("small", 2**15), ("big", 2**63), ("ratio", "x"), ("amount", "0.001"),
        ("amount", 10**14), ("occurs_at", "2030-01-01T00:00:00"), ("day", "2030-02-30"), ("clock", "24:00:00"),
        ("span", "1:30"), ("colour", "RED"), ("level", 2), ("document", []), ("positive", 0), ("occurs_at", "10000-01-01T00:00Z"),
    ):  # fmt: skip
        speaker.say("POST", "/everythings", json={**everything(1), name: value}, expected=422)
        speaker.say("GET", "/everythings", params={name: json.dumps(value)})
    for query in (
        "big__gt=99999999999999999999",
        "ratio=nan",
        "ratio__lt=inf",
        "occurs_at=now",
        "amount__in=1,x",
        "page=0",
    ):
        speaker.say("GET", f"/everythings?{query}", expected=422)
