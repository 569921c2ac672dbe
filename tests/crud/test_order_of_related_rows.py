"""The `order_by` of a `Relationship` is the order of its list in `expand`, or is refused at the start."""

from collections.abc import Iterator
from typing import Annotated, Any, Optional

import pytest
import sqlalchemy as sa
from sqlmodel import Field, Relationship, SQLModel

from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.entities.model import SECRET, IntegerKey, PortableTable
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import RegistrationError
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.metadata import new_metadata

metadata, faulty = new_metadata(), new_metadata()


class Bare(PortableTable, registry=sa.orm.registry(metadata=metadata)):
    """A table without timestamps."""


class Wrong(PortableTable, registry=sa.orm.registry(metadata=faulty)):
    """The same, for classes that are refused."""


def _ordered(by: Any, **others: Any) -> Any:
    return Relationship(sa_relationship_kwargs={"order_by": by, **others})


class Tagging(Bare, table=True):
    """Pairs teams with tags."""

    team_id: int | None = Field(default=None, foreign_key="teams.id", primary_key=True)
    tag_id: int | None = Field(default=None, foreign_key="tags.id", primary_key=True, index=True)


class Tag(IntegerKey, Bare, table=True):
    """A word."""

    name: str = Field(index=True)


class Team(IntegerKey, Bare, table=True):
    """The class of SQLModel's tutorial."""

    heroes: list["Hero"] = Relationship(
        back_populates="team", sa_relationship_kwargs={"order_by": "desc(Hero.age), Hero.name"}
    )
    tags: list[Tag] = Relationship(link_model=Tagging, sa_relationship_kwargs={"order_by": lambda: Tag.name})


class Hero(IntegerKey, Bare, table=True):
    """The other class of the tutorial."""

    name: str = Field(index=False)
    age: int | None = Field(default=None, index=False, sa_column_kwargs={"name": "years"})
    team_id: int | None = Field(default=None, foreign_key="teams.id", index=True)
    team: Optional["Team"] = Relationship(back_populates="heroes", sa_relationship_kwargs={"order_by": False})


@pytest.fixture
def client(backend: str, databases: Databases) -> Iterator[QuickClient]:
    """A server of the teams."""
    settings = Settings(database_url=databases.empty(backend), **QUIET)
    engine = create_engine(settings)
    with engine.begin() as connection:
        metadata.create_all(connection)
    engine.dispose()
    registry = Registry("/api/v1")
    for model in (Team, Hero, Tag):
        registry.register(model, read=ANYONE, write=ANYONE)
    with QuickClient(create_app(settings, registry, metadata)) as made:
        yield made


def test_related_rows_are_in_the_order_that_the_class_states(client: QuickClient) -> None:
    """Through a foreign key and through a link. Nulls sort first descending, as in lists, and the key breaks ties."""
    for name in ("b", "a", "c"):
        assert client.post("/api/v1/tags", json={"name": name}).status_code == 201
    assert client.post("/api/v1/teams", json={"tag_ids": [1, 2, 3]}).status_code == 201
    for name, age in (("d", 1), ("c", 2), ("b", 1), ("a", None), ("b", 1)):
        client.post("/api/v1/heros", json={"name": name, "age": age, "team_id": 1})
    team = client.get("/api/v1/teams/1?expand=heroes,tags").json()
    assert [(hero["name"], hero["age"], hero["id"]) for hero in team["heroes"]] == [
        ("a", None, 4), ("c", 2, 2), ("b", 1, 3), ("b", 1, 5), ("d", 1, 1)
    ]  # fmt: skip
    assert [tag["name"] for tag in team["tags"]] == ["a", "b", "c"]
    assert client.get("/api/v1/heros/1?expand=team.tags").json()["team"]["tags"] == team["tags"]


class Step(IntegerKey, Wrong, table=True):
    """A step of a plan, with a secret."""

    plan_id: int = Field(default=1, index=True)
    name: str = ""
    code: Annotated[str, SECRET] = ""


def _steps(plan: str, by: str, **others: Any) -> Any:
    join = f"foreign(Step.plan_id) == {plan}.id"
    return Relationship(sa_relationship_kwargs={"primaryjoin": join, "order_by": by, "viewonly": True, **others})


class Lowered(IntegerKey, Wrong, table=True):
    """By an expression."""

    steps: list[Step] = _steps("Lowered", "func.lower(Step.name)")


class NullsFirst(IntegerKey, Wrong, table=True):
    """With another place of null."""

    steps: list[Step] = _steps("NullsFirst", "nulls_first(Step.name)")


class Foreign(IntegerKey, Wrong, table=True):
    """By a column of another class."""

    name: str = ""
    steps: list[Step] = _steps("Foreign", "Step.name, Foreign.name")


class Hidden(IntegerKey, Wrong, table=True):
    """By a column that no client sees."""

    steps: list[Step] = _steps("Hidden", "Step.code")


class Single(IntegerKey, Wrong, table=True):
    """Of one row."""

    steps: Step | None = _steps("Single", "Step.name", uselist=False)


@pytest.mark.parametrize("model", [Lowered, NullsFirst, Foreign, Hidden, Single])
def test_an_order_that_no_list_has_stops_the_start(model: type[SQLModel]) -> None:
    """It was ignored silently."""
    registry = Registry("/api/v1")
    registry.register(model, read=ANYONE, write=ANYONE)
    registry.register(Step, read=ANYONE, write=ANYONE)
    with pytest.raises(RegistrationError, match=rf"{model.__name__}\.steps: order_by takes columns of Step"):
        create_app(Settings(database_url="sqlite:///none.db", **QUIET), registry, faulty)
