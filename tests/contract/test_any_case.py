"""Text is found in any case on SQLite, and on PostgreSQL with and without `casefold`, by search and by every filter.

The expected rows are computed with Python's `str.casefold` of the stored and the wanted text.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from rowhouse.core.settings import Settings
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, QUIET, shop_database, sign_in
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app

GROUNDS = ("sqlite", "postgresql", "postgresql 16")
# Texts whose case is not a matter of single letters, or of their own, or that another alphabet than Latin writes; and
# plain ones.
TITLES = (
    "Straße", "Große Erwartungen", "STRASSE UND GROSSE", "Fuẞball", "σίσυφος", "ΣΊΣΥΦΟΣ", "Ὀδυσσεύς", "Ελλάς", "ΕΛΛΆΣ", "ᾼδης", "Οἶνος ᾧ",
    "İstanbul", "ISPARTA", "\u0131s\u0131", "ﬁn", "Eﬃzienz", "FIN", "ǰ", "J\u030c", "ŉ", "և", "ǅungla", "µm", "μm", "\u017felb\u017ft", "K\u212a Å\u212b",
    "ПРИВЕТ", "Ᏸ ꭰ \u13a0", "Ა ა", "Ⅷ Ⓐ", "𐐀𐐨", "e\u0301 É", "日本語", "🚗 auto", "100 % sure", "100 %% sure", "a_b", "a\\b", "plain Ascii",
)  # fmt: skip
OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "search": lambda stored, asked: asked in stored,
    "title__contains": lambda stored, asked: asked in stored,
    "title__startswith": lambda stored, asked: stored.startswith(asked),
    "title__endswith": lambda stored, asked: stored.endswith(asked),
}


@pytest.fixture(scope="module", params=GROUNDS)
def library(request: pytest.FixtureRequest, databases: Databases) -> Iterator[TestClient]:
    """An application with one book for each title."""
    is_older = request.param == "postgresql 16"
    makes: Databases = request.getfixturevalue("older_postgresql") if is_older else databases
    url = shop_database(makes, request.param.split()[0])
    admin: dict[str, Any] = {"admin_email": ADMIN_EMAIL, "admin_password": ADMIN_PASSWORD}
    settings = Settings(database_url=url, **admin, **QUIET)
    with QuickClient(create_app(settings)) as client:
        headers = sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)
        category = client.post("/api/v1/categories", json={"name": "all"}, headers=headers).json()["id"]
        books = [{"title": title, "author": "-", "price": 1, "category_id": category} for title in TITLES]
        assert client.post("/api/v1/books/batch", json=books, headers=headers).status_code == 201
        yield client


def pieces() -> Iterator[str]:
    """Return the texts to search for: every title in each case and parts of it, from one letter to all."""
    for title in TITLES:
        for text in {title, title.upper(), title.lower(), title.title(), title.casefold()}:
            yield from {text, text[:1], text[-1:], text[:3], text[-3:], text[1:5]} - {""}


@pytest.mark.parametrize("parameter", OPERATORS)
def test_every_way_to_look_for_a_text_finds_what_casefold_finds(library: TestClient, parameter: str) -> None:
    """Search tries every piece, each operator a share of them."""
    matches = OPERATORS[parameter]
    number = list(OPERATORS).index(parameter)
    asked = sorted(set(pieces()))
    for piece in asked[number :: len(OPERATORS)] if number else asked:
        answer = library.get("/api/v1/books", params={parameter: piece, "size": 100})
        found = {row["title"] for row in answer.json()["items"]}
        assert found == {title for title in TITLES if matches(title.casefold(), piece.casefold())}, piece


@pytest.mark.parametrize("wildcard", ["%", "_", "\\", "%%", "a%i", "S_U", "\\%"])
def test_wildcards_and_escapes_are_letters_like_others(library: TestClient, wildcard: str) -> None:
    """Also after the database has folded the pattern."""
    answer = library.get("/api/v1/books", params={"title__contains": wildcard})
    assert {row["title"] for row in answer.json()["items"]} == {title for title in TITLES if wildcard in title}
