"""The types of openapi-typescript compile under `tsc --strict`, and check a hand-written client against the document."""

import shutil
from pathlib import Path

import pytest

from tests.app.clients.conftest import DOCUMENTS
from tests.app.clients.tools import HERE, compile_types, generate_types, install_packages

pytestmark = pytest.mark.xdist_group("clients")  # what is generated is generated once
HEADER = """
import createClient from "openapi-fetch";
import type { components, paths } from "./product.js";
const api = createClient<paths>({});
"""
# Each use is wrong in one way, which the compiler must name.
WRONG = {
    "a parameter that is not there": ('api.GET("/api/v1/books", { params: { query: { colour: "red" } } });', "colour"),
    "a filter of another type": (
        'api.GET("/api/v1/books", { params: { query: { price__lt: "cheap" } } });',
        "Type 'string' is not assignable to type 'number'",
    ),
    "branches that are no text": (
        'api.GET("/api/v1/books", { params: { query: { any: [{ price__lt: 5 }] } } });',
        "is not assignable to type 'string'",
    ),
    "a column that nothing sorts by": (
        'api.GET("/api/v1/books", { params: { query: { sort: ["colour"] } } });',
        '"colour"',
    ),
    "a path that is not there": ('api.GET("/api/v1/boks", {});', "/api/v1/boks"),
    "a method that is not there": ('api.PUT("/api/v1/books", { body: {} });', "/api/v1/books"),
    "a body without what is required": (
        'api.POST("/api/v1/categories", { body: {} });',
        "Property 'name' is missing",
    ),
    "a member of the server's": (
        '({ name: "Novels", id: 1 }) satisfies components["schemas"]["CategoryCreate"];',
        "'id' does not exist",
    ),
    "null where there is none": (
        'api.PATCH("/api/v1/books/{id}", { params: { path: { id: 1 } }, body: { title: null } });',
        "Type 'null' is not assignable",
    ),
    "an error taken for a row": (
        'api.GET("/api/v1/users/me").then(({ data, error }) => { if (error) console.log(error.email, data); });',
        "Property 'email' does not exist",
    ),
    "a number taken for a text": (
        'api.GET("/api/v1/users/me").then(({ data }) => { const id: string = data!.id; return id; });',
        "Type 'number' is not assignable to type 'string'",
    ),
    "what may be null taken for what is not": (
        'api.GET("/api/v1/books").then(({ data }) => { const total: number = data!.total; return total; });',
        "Type 'null' is not assignable to type 'number'",
    ),
}


@pytest.fixture(scope="session")
def typed(workshop: Path) -> Path:
    """The directory with the types of both documents."""
    install_packages()
    for name in DOCUMENTS:
        generate_types(workshop / f"{name}.json", workshop / f"{name}.ts")
    return workshop


@pytest.fixture(scope="session")
def said(typed: Path) -> str:
    """What the compiler says of all of it at once: it reads the types only once."""
    shutil.copy(HERE / "client.ts", typed)
    (typed / "wrong.ts").write_text(HEADER + "".join(f"{use}\n" for use, _ in WRONG.values()) + RIGHT)
    return compile_types(typed, "product.ts", "odd.ts", "client.ts", "wrong.ts")


def test_the_types_and_a_client_of_them_compile(said: str) -> None:
    """Without one diagnostic.

    Every one is of the file that is wrong, and the lines that begin with a blank go on with one.
    """
    assert [line for line in said.splitlines() if not line.startswith(("wrong.ts(", " "))] == []


def test_a_wrong_use_does_not_compile(said: str) -> None:
    """Each is found in its own line and by its own words; the right one beside them is not."""
    first = HEADER.count("\n") + 1
    for number, (_, words) in enumerate(WRONG.values(), first):
        found = said.partition(f"wrong.ts({number},")[2].partition("\nwrong.ts(")[0]
        assert words in found, (number, words, said)
    assert f"wrong.ts({first + len(WRONG)}," not in said


RIGHT = 'api.GET("/api/v1/books", { params: { query: { price__lt: 5, sort: ["-price"] } } });\n'
