"""A wrong registration line stops the start, and the message says how to fix it."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Annotated, Any, ClassVar
from unittest.mock import Mock

import pytest
import sqlalchemy as sa
from fastapi import APIRouter, WebSocket
from sqlalchemy.orm import registry as orm_registry
from sqlmodel import Field, SQLModel

from rowhouse.app.factory import create_app
from rowhouse.auth.accounts import include_accounts
from rowhouse.core.policy import ANYONE, SIGNED_IN, role
from rowhouse.crud.base import CRUDBase
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.model import READ_ONLY, SECRET, UPDATED_AT, IntegerKey, Record
from rowhouse.entities.no_overlap import NoOverlap
from rowhouse.entities.search_index import SearchIndex
from rowhouse.http.route_tree import RouteTree
from rowhouse.http.routing import Router
from rowhouse.registration.build import build
from rowhouse.registration.registry import Registry, create_schema, public_schema
from rowhouse.registration.router import possible_operations
from rowhouse.schemas.columns import RegistrationError
from tests.sample_entities.odd.base import metadata as odd_metadata

SHARED_TABLES = {"users", "refresh_tokens", "idempotency_keys", "deleted_rows", "history_entries"}
metadata = sa.MetaData()


class Scratch(Record, registry=orm_registry(metadata=metadata)):
    """`Record` in a metadata that no other test sees."""


class Bare(SQLModel, registry=orm_registry(metadata=metadata)):
    """A class without the timestamps."""


class Draft(IntegerKey, Scratch, table=True):
    """A class that can be registered."""

    title: str
    pages: int = 0
    owner_id: int | None = None
    api_key: Annotated[str, SECRET] = ""


class Timeless(IntegerKey, Bare, table=True):
    """A class with two instants of its last change."""

    edited: Annotated[datetime, UPDATED_AT]
    revised: Annotated[datetime, UPDATED_AT]


class Dayless(IntegerKey, Bare, table=True):
    """A class whose last change is no instant."""

    edited: Annotated[date, UPDATED_AT]


class Twofold(Scratch, table=True):
    """A class with a key of two columns, whose intervals must not overlap."""

    __table_args__ = (NoOverlap("part", "first_day", "last_day"),)

    id: int = Field(primary_key=True)
    part: int = Field(primary_key=True, foreign_key="drafts.id")
    first_day: date
    last_day: date


class Coded(Scratch, table=True):
    """A class with a key that nobody sets."""

    code: Annotated[str, READ_ONLY] = Field(primary_key=True)


class Concealed(Scratch, table=True):
    """A class with a key that nobody may see."""

    code: Annotated[str, SECRET] = Field(primary_key=True)


class Documented(Scratch, table=True):
    """A class whose key is a document."""

    code: list[str] = Field(primary_key=True, sa_type=sa.JSON)


class Leaky(IntegerKey, Scratch, table=True):
    """A class with a column that looks like a secret."""

    access_token: str = ""


class Told(IntegerKey, Scratch, table=True):
    """A class with such a column that is declared not to be one."""

    token_count: Annotated[int, READ_ONLY] = 0


class Hero(IntegerKey, Scratch, table=True):
    """As SQLModel's tutorial has it: everybody sees the name."""

    name: str
    secret_name: str


class HiddenAddress(IntegerKey, Scratch, table=True):
    """The fix that the message for `Networked` names."""

    address: Annotated[IPv4Address, SECRET]


class Networked(IntegerKey, Scratch, table=True):
    """A class with a column that SQLModel treats as text, and whose values no driver accepts."""

    address: IPv4Address


class Inexact(IntegerKey, Scratch, table=True):
    """A class with a decimal without precision."""

    price: Decimal


class TooExact(IntegerKey, Scratch, table=True):
    """A class with more digits than SQLite stores exactly."""

    price: Decimal = Field(max_digits=16, decimal_places=2)


class Padded(IntegerKey, Scratch, table=True):
    """A class with text that PostgreSQL pads with blanks."""

    code: str = Field(sa_type=sa.CHAR(5))


class Widened(IntegerKey, Scratch, table=True):
    """The same, on PostgreSQL only."""

    code: str = Field(sa_type=sa.String(5).with_variant(sa.CHAR(5), "postgresql"))


class Wrapped(sa.types.TypeDecorator[str]):
    """A column type of a project."""

    impl = sa.String
    cache_ok = True


class Odd(IntegerKey, Scratch, table=True):
    """A class with a column whose values only its own type understands."""

    wrapped: Annotated[str, SECRET] = Field(default="", sa_type=Wrapped)


class Untyped(IntegerKey, Scratch, table=True):
    """A class with a column without a type."""

    anything: Annotated[str, SECRET] = Field(default="", sa_type=sa.types.NullType)


class Indexed(IntegerKey, Scratch, table=True):
    """A class whose search index contains a title and a secret."""

    __table_args__ = (SearchIndex("title", "api_key"),)

    title: str = Field(max_length=50)
    subtitle: str = Field(max_length=50)
    api_key: Annotated[str, SECRET] = Field(default="", max_length=50)


class Hidden(IntegerKey, Scratch, table=True):
    """A class with a `NoOverlap` over a secret column."""

    __table_args__ = (NoOverlap("place_id", "start", "end"),)

    place_id: Annotated[int, SECRET] = Field(default=1, foreign_key="drafts.id")
    start: int
    end: int


class Renamed(IntegerKey, Scratch, table=True):
    """A class with a `NoOverlap` over a column that its attribute does not name."""

    __table_args__ = (NoOverlap("place_id", "Start", "end"),)

    place_id: int = Field(foreign_key="drafts.id")
    start: int = Field(sa_column_kwargs={"name": "Start"})
    end: int


class AliasedCRUD(CRUDBase[Draft]):
    """Names a filter that does not exist."""

    filter_aliases: ClassVar[dict[str, str]] = {"min_pages": "page_count__gte"}


class ReservedCRUD(CRUDBase[Draft]):
    """Names a filter like a parameter of every list."""

    filter_aliases: ClassVar[dict[str, str]] = {"any": "pages"}


class ComputedCRUD(CRUDBase[Draft]):
    """Has an expression for a column that does not exist."""

    computed_columns: ClassVar[dict[str, Any]] = {"state": sa.literal("new")}


class ExtraFieldsCRUD(CRUDBase[Draft]):
    """Declares a member that is not a column."""

    extra_fields: ClassVar[dict[str, Any]] = {"chapters": list[str]}


class DeletingCRUD(CRUDBase[Draft]):
    """Overrides a verb for one row only."""

    def delete(self, unit: UnitOfWork, key: Any) -> None:
        """Keep every draft."""


class KeepingCRUD(DeletingCRUD):
    """Overrides its version for many rows too."""

    def delete_many(self, unit: UnitOfWork, keys: Sequence[Any]) -> None:
        """Keep every draft."""


class OneByOneCRUD(DeletingCRUD):
    """Batches call the verb for one row."""

    one_by_one = True


def refused(model: type[SQLModel], **line: Any) -> str:
    """Return the message of the registry for a line. Nothing of the line is kept."""
    registry = Registry()
    with pytest.raises(RegistrationError) as caught:
        registry.register(model, **line)
    assert registry.registrations == {}
    assert model.__name__ in str(caught.value)
    return str(caught.value)


def registered(model: type[SQLModel], **line: Any) -> Registry:
    """Return a registry with this line."""
    registry = Registry()
    registry.register(model, **line)
    return registry


def built(registry: Registry) -> RouteTree:
    """Return the routes of a registry."""
    return build([registry], sa.make_url("sqlite://").get_dialect()()).route_tree


def test_an_option_that_does_not_exist_is_named() -> None:
    """With the one that is meant, or all of them."""
    assert (
        refused(Draft, serach=("title",))
        == "register(Draft, serach=...): there is no such option; did you mean search=?"
    )
    calls: dict[str, Callable[..., Any]] = {"title": create_app, "roles": include_accounts}
    for option, function in calls.items():
        with pytest.raises(RegistrationError) as caught:
            function(Registry(), **{f"{option}x": 1})
        fix = f"there is no such option; did you mean {option}=?"
        assert str(caught.value) == f"{function.__name__}({option}x=...): {fix}"
    assert "there is no such option; there are read, write, owner, search, crud, path, " in refused(Draft, zzz=1)


@pytest.mark.parametrize(
    ("model", "line", "fix"),
    [
        (Draft, {}, "write=SIGNED_IN"),
        (Draft, {"read": ANYONE}, "owner='…_id'"),
        (Scratch, {"write": SIGNED_IN}, "class Scratch(Entity, table=True)"),
        (Timeless, {"write": SIGNED_IN}, "Timeless: edited, revised are all UPDATED_AT; mark one of them"),
        (Twofold, {"write": SIGNED_IN}, "NoOverlap needs a key of one column: add an id"),
        (Dayless, {"write": SIGNED_IN}, "Dayless.edited is marked UPDATED_AT and must be a datetime"),
        (Concealed, {"write": SIGNED_IN}, "Concealed.code is the key, which every path shows: take SECRET away"),
        (Documented, {"write": SIGNED_IN}, "Documented.code is the key, and a path cannot hold JSON: use"),
        (Coded, {"write": SIGNED_IN}, "Coded.code is a key that nobody sets: give it a default_factory"),
        (
            Padded,
            {"write": SIGNED_IN},
            "Padded.code is CHAR(length=5, collation='C'), which PostgreSQL fills up with blanks; use Field(max_length",
        ),
        (Widened, {"write": SIGNED_IN}, "fills up with blanks; use Field(max_length"),
        (
            Draft,
            {"read": "anyone", "write": SIGNED_IN},
            "read='anyone' is not a policy; write ANYONE, SIGNED_IN or role(...)",
        ),
        (Draft, {"write": "admin"}, "write='admin' is not a policy"),
        (Draft, {"read": role, "write": SIGNED_IN}, "is not a policy"),
        (Draft, {"owner": "owner_id", "write": True}, "write=True is not a policy"),
        (Draft, {"owner": "author_id"}, "its columns are id, title, pages, owner_id, api_key, created_at, updated_at"),
        (Draft, {"write": SIGNED_IN, "search": ("titel",)}, "those are: title"),
        (Draft, {"write": SIGNED_IN, "search": ("pages",)}, "not a text column; those are: title"),
        (Draft, {"write": SIGNED_IN, "search": ("api_key",)}, "those are: title"),
        (Draft, {"write": SIGNED_IN, "search": "title"}, "search=('title',)"),
        (
            Indexed,
            {"write": SIGNED_IN, "search": ("title", "subtitle")},
            "search names subtitle, which its SearchIndex lacks",
        ),
        (
            Indexed,
            {"write": SIGNED_IN, "search": ("title",)},
            "SearchIndex names api_key, which no list shows as it is stored",
        ),
        (
            Renamed,
            {"write": SIGNED_IN},
            "NoOverlap names the column Start, whose attribute has another name; give both one",
        ),
        (Hidden, {"write": SIGNED_IN}, "NoOverlap names place_id, which is SECRET; mark it READ_ONLY"),
        (Draft, {"write": SIGNED_IN, "exact_count_limit": 0}, "exact_count_limit=0"),
        (
            Draft,
            {"write": SIGNED_IN, "operations": ("list", "read")},
            "names read; there are list, create, get, update",
        ),
        (Draft, {"write": SIGNED_IN, "operations": ()}, "names nothing; there are list"),
        (Draft, {"write": SIGNED_IN, "path": "My Drafts"}, "must be kebab-case, such as 'charge-points'"),
        (Draft, {"write": SIGNED_IN, "crud": AliasedCRUD}, "'page_count__gte', which is no filter such as"),
        (Draft, {"write": SIGNED_IN, "crud": ReservedCRUD}, "filter_aliases has 'any', a parameter of every list"),
        (
            Draft,
            {"write": SIGNED_IN, "soft_delete": True, "operations": ("list", "create")},
            "add 'delete' to operations, or leave out soft_delete",
        ),
        (
            Draft,
            {"write": SIGNED_IN, "history": True, "operations": ("create", "delete")},
            "add 'get' or 'list' to operations, or leave out history",
        ),
        (Odd, {"write": SIGNED_IN, "soft_delete": True}, "wrapped: the values of Wrapped cannot be stored as JSON"),
        (Untyped, {"write": SIGNED_IN, "soft_delete": True}, "give the column a type of SQLAlchemy's own"),
        (Draft, {"write": SIGNED_IN, "crud": ComputedCRUD}, "computed_columns names state, which is not a column"),
        (Draft, {"write": SIGNED_IN, "crud": ExtraFieldsCRUD}, "the response of create would lack chapters"),
        (
            Draft,
            {"write": SIGNED_IN, "crud": ExtraFieldsCRUD, "operations": ("get", "put")},
            "leave it out of operations",
        ),
        (
            Draft,
            {"write": SIGNED_IN, "crud": DeletingCRUD},
            "DeletingCRUD overrides delete, which batches do not call; override delete_many too, or set one_by_one = True",
        ),
        (Leaky, {"write": SIGNED_IN}, "declare it Annotated[..., SECRET], or Annotated[..., READ_ONLY]"),
        (Networked, {"write": SIGNED_IN}, "is not a column type; mark it SECRET, or use one of"),
        (Inexact, {"write": SIGNED_IN}, "Field(max_digits=…, decimal_places=…) with at most 15 digits"),
        (TooExact, {"write": SIGNED_IN}, "Field(max_digits=…, decimal_places=…) with at most 15 digits"),
    ],
)
def test_a_wrong_line_names_the_fix(model: type[SQLModel], line: dict[str, Any], fix: str) -> None:
    """Each case by itself."""
    assert fix in refused(model, **line)


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (Draft, {"owner": "owner_id"}),
        (Draft, {"write": role("admin"), "search": ("title",), "path": "papers"}),
        (Draft, {"write": SIGNED_IN, "operations": (name for name in ("get", "list"))}),
        (Draft, {"write": SIGNED_IN, "crud": ExtraFieldsCRUD, "operations": ("list", "get", "delete")}),
        (Told, {"write": SIGNED_IN}),
        (Hero, {"write": SIGNED_IN}),
        (Draft, {"write": SIGNED_IN, "crud": KeepingCRUD}),
        (Draft, {"write": SIGNED_IN, "crud": OneByOneCRUD}),
        (Draft, {"write": SIGNED_IN, "crud": DeletingCRUD, "operations": ("list", "get")}),
        (HiddenAddress, {"write": SIGNED_IN, "soft_delete": True, "history": True}),
        (Odd, {"write": SIGNED_IN, "history": True}),
        (Draft, {"write": SIGNED_IN, "history": True, "operations": ("list", "create")}),
    ],
)
def test_the_named_fixes_work(model: type[SQLModel], line: dict[str, Any]) -> None:
    """A line that follows the messages is accepted and has routes."""
    assert built(registered(model, **line)).routes


def test_a_path_is_taken_once() -> None:
    """The message names the other class. The first line stays."""
    registry = registered(Draft, write=SIGNED_IN)
    with pytest.raises(RegistrationError, match="Told: /drafts is taken by Draft; give one of them another path="):
        registry.register(Told, write=SIGNED_IN, path="drafts")
    assert [line.resource.name for line in registry.registrations.values()] == ["Draft"]


def test_a_class_is_registered_once() -> None:
    """A second line would repeat the operation ids of generated clients."""
    registry = registered(Draft, write=SIGNED_IN)
    with pytest.raises(RegistrationError, match="Draft is registered already"):
        registry.register(Draft, write=SIGNED_IN, path="papers")
    assert list(registry.registrations) == ["drafts"]


def test_a_router_within_a_router_is_refused() -> None:
    """FastAPI would keep it as one object, whose routes the route tree cannot see."""
    outer, inner = APIRouter(), Router()

    @inner.get("/inner")
    def read_inner() -> str:
        return "inner"

    outer.include_router(inner)
    registry = registered(Draft, write=SIGNED_IN)
    registry.include(outer)
    with pytest.raises(RegistrationError, match=r"registry\.include\(\)"):
        built(registry)


def test_a_websocket_belongs_to_the_application() -> None:
    """A registry has routes of HTTP only."""
    router = APIRouter()

    @router.websocket("/talk")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()

    registry = registered(Draft, write=SIGNED_IN)
    registry.include(router)
    with pytest.raises(RegistrationError, match=r"^/talk is a WebSocket: declare it with @app"):
        built(registry)


def test_only_the_named_operations_exist() -> None:
    """The order of their names does not matter. A batch belongs to its verb."""
    routes = built(registered(Draft, write=SIGNED_IN, operations=("delete", "get"))).routes
    found = {(method, route.path) for route in routes for method in route.methods or ()}
    one, batch = "/api/v1/drafts/{id}", "/api/v1/drafts/batch"
    assert found == {("GET", one), ("HEAD", one), ("DELETE", one), ("DELETE", batch)}


def test_each_option_adds_its_operation() -> None:
    """`soft_delete` adds restore, `history` adds the list of changes, and neither exists without its word."""
    for words in ({"soft_delete"}, {"history"}, {"soft_delete", "history"}, set[str]()):
        line = dict.fromkeys(words, True)
        paths = {route.path for route in built(registered(Draft, write=SIGNED_IN, **line)).routes}
        assert ("/api/v1/drafts/{id}/restore" in paths) is ("soft_delete" in words)
        assert ("/api/v1/drafts/{id}/history" in paths) is ("history" in words)


def test_only_an_entity_with_soft_delete_restores() -> None:
    """The verb says what is missing before any query."""
    line = registered(Draft, write=SIGNED_IN).registrations["drafts"]
    crud = line.crud(line.resource, sa.make_url("sqlite://").get_dialect()())
    unit: Any = Mock()
    with pytest.raises(TypeError, match="register it with soft_delete=True"):
        crud.restore(unit, 1)
    unit.run.assert_not_called()


def test_the_public_schema_hides_secrets_from_hand_written_routes_too() -> None:
    """It is the schema of generated responses."""
    assert set(public_schema(Draft).model_fields) == {"id", "title", "pages", "owner_id", "created_at", "updated_at"}


def test_the_create_schema_leaves_the_owner_to_the_server() -> None:
    """And other members that no client may set."""
    assert set(create_schema(Draft, owner="owner_id").model_fields) == {"title", "pages"}


def test_the_odd_entities_stay_out_of_the_products_metadata() -> None:
    """Otherwise a migration would create their tables. Only the engine's tables are in both."""
    assert set(odd_metadata.tables) & set(SQLModel.metadata.tables) <= SHARED_TABLES
    assert not set(metadata.tables) & set(SQLModel.metadata.tables)


def test_an_entity_without_writing_operations_needs_no_write_policy() -> None:
    """Routes of the project's own then need an administrator. A step writes, and so does every other operation."""
    (line,) = registered(Draft, operations=("list", "get")).registrations.values()
    assert line.resource.write == role("admin")
    for operations in (("list", "create"), ("delete",)):
        with pytest.raises(RegistrationError, match="nothing says who may write"):
            registered(Draft, operations=operations)


def test_a_put_that_could_neither_change_nor_create_is_left_out() -> None:
    """Where every member is fixed."""
    for put, operations, left in (
        ("schema", {"create", "update", "put"}, {"create", "put"}),
        ("schema", {"update", "put"}, set()),
        (None, {"create", "update", "put"}, {"create"}),
    ):
        fixed = Mock(**{"schemas.update.model_fields": {}, "schemas.put": put})
        assert possible_operations(operations, fixed) == left
