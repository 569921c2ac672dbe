"""Checks rules of the architecture: imports, sizes, commits and names."""

import ast
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel
from sqlmodel import SQLModel

from rowhouse.core.settings import Settings
from tests.conftest import QUIET, ROOT
from tests.sample_entities.application import create_app
from tests.sample_entities.shop.models import Book

MOST_LINES = 500
MODULES = sorted(path.relative_to(ROOT) for path in (ROOT / "backend").rglob("*.py"))
NAMES = [str(path) for path in MODULES]


def source(module: str | Path) -> str:
    """The text of a module."""
    return (ROOT / module).read_text(encoding="utf-8")


@cache
def tree(module: str | Path) -> ast.Module:
    """A module as Python reads it."""
    return ast.parse(source(module))


def calls(module: str | Path, name: str) -> list[int]:
    """The lines that call something of this name, whatever it belongs to."""
    found = [node for node in ast.walk(tree(module)) if isinstance(node, ast.Call)]
    return [node.lineno for node in found if getattr(node.func, "attr", getattr(node.func, "id", None)) == name]


def imported(module: str | Path) -> set[str]:
    """The packages that a module imports, wherever it does."""
    names: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    return {name.partition(".")[0] for name in names}


def called(name: str) -> list[str]:
    """The modules of this file name, such as every domain's `routes.py`."""
    found = [str(path) for path in MODULES if path.name == f"{name}.py"]
    assert found, f"no {name}.py at all: the rule would hold nothing"
    return found


def test_the_modules_are_found() -> None:
    """Else every rule below would hold of nothing."""
    assert "backend/rowhouse/db/unit_of_work.py" in NAMES
    assert calls("backend/rowhouse/db/unit_of_work.py", "commit")


@pytest.mark.parametrize(
    "module",
    [
        name
        for name in NAMES
        if name != "backend/rowhouse/db/unit_of_work.py"
        and not name.startswith(("backend/rowhouse/migrations/", "backend/rowhouse/testing/"))
    ],
)
def test_only_the_edge_commits(module: str) -> None:
    """A request commits once, in `UnitOfWork`; what runs migrations, also for tests, serves none."""
    assert calls(module, "commit") == []


@pytest.mark.parametrize("module", called("routes"))
def test_routes_hold_no_queries(module: str) -> None:
    """Those are a service's."""
    assert calls(module, "select") == []


@pytest.mark.parametrize("module", called("service"))
def test_services_know_nothing_of_http(module: str) -> None:
    """They raise errors of the tree, and know no status code or header."""
    assert imported(module) & {"fastapi", "starlette"} == set()


@pytest.mark.parametrize("module", [*called("models"), *called("routes"), *called("router"), *called("model")])
def test_annotations_are_values(module: str) -> None:
    """`from __future__ import annotations` breaks relationships and router factories."""
    assert "__future__" not in imported(module)


@pytest.mark.parametrize("module", NAMES)
def test_table_classes_never_read_json(module: str) -> None:
    """`model_validate_json` does not validate on them (decision 0023), so nothing calls it at all."""
    assert calls(module, "model_validate_json") == []


@pytest.mark.parametrize("module", NAMES)
def test_a_module_says_what_it_is_for(module: str) -> None:
    """In a sentence at its beginning, and it can be read in one sitting."""
    first_paragraph = str(ast.get_docstring(tree(module))).partition("\n\n")[0]
    assert first_paragraph.endswith((".", "`"))
    assert len(source(module).splitlines()) <= MOST_LINES


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[APIRoute]:
    """Every route of the product, generated and hand-written."""
    path = tmp_path_factory.mktemp("architecture") / "never_opened.db"
    app = create_app(Settings(database_url=f"sqlite:///{path}", **QUIET))
    app.state.runner.close()
    found = [route for route in app.routes if isinstance(route, APIRoute)]
    assert len(found) > 30
    return found


def types_in(annotation: Any, seen: set[int] | None = None) -> Iterator[type]:
    """Every class within an annotation, and within the members of its models."""
    seen = set() if seen is None else seen
    if id(annotation) in seen:
        return
    seen.add(id(annotation))
    if isinstance(annotation, type):
        yield annotation
    inner = list(typing.get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inner += [field.annotation for field in annotation.model_fields.values()]
    for part in inner:
        yield from types_in(part, seen)


def tables_in(annotation: Any) -> list[str]:
    """The table classes within an annotation."""
    return [kind.__name__ for kind in types_in(annotation) if issubclass(kind, SQLModel) and hasattr(kind, "__table__")]


def test_tables_are_found_where_they_hide() -> None:
    """In lists, unions and members of models."""

    class Holder(BaseModel):
        model_config = {"arbitrary_types_allowed": True}
        books: dict[str, list[Book] | None]
        itself: "Holder | None" = None

    assert tables_in(list[Holder]) == ["Book"]
    assert tables_in(dict[str, int] | None) == []


def test_no_table_class_is_a_body(routes: list[APIRoute]) -> None:
    """Every column of it would be writable, and none would be validated."""
    bodies = {route.path: route.body_field.field_info.annotation for route in routes if route.body_field}
    assert {path: tables_in(body) for path, body in bodies.items() if tables_in(body)} == {}
    assert bodies


def test_no_table_class_is_an_answer(routes: list[APIRoute]) -> None:
    """Every column of it would be shown: a route that returns a row names a schema for it."""
    assert [(route.path, tables_in(route.response_model)) for route in routes if tables_in(route.response_model)] == []


def test_every_route_is_documented(routes: list[APIRoute]) -> None:
    """With a name, a text and what may go wrong."""
    for route in routes:
        assert route.operation_id or route.unique_id, route.path
        assert route.description, route.path
        assert 503 in route.responses, route.path
