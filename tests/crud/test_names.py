"""Names that collide or lead nowhere stop the start, and the message says which classes and how to fix it."""

import traceback
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import registry as orm_registry
from sqlmodel import Field, SQLModel

from rowhouse import ADMIN, SIGNED_IN, Registry
from rowhouse.registration.build import build
from rowhouse.schemas.columns import RegistrationError

Made = Any


@pytest.fixture
def base() -> Made:
    """A base class with a metadata of its own."""
    shared = orm_registry(metadata=sa.MetaData())

    class Base(SQLModel, registry=shared):
        """`SQLModel` in a metadata of its own."""

    return Base


def declare(base: Made, name: str, /, **members: Any) -> Made:
    """Return a table class with an id and these members: each a type and a field."""
    found = {"id": (int | None, Field(default=None, primary_key=True)), **members}
    fields = {one: field for one, (_, field) in found.items()}
    kinds = {one: kind for one, (kind, _) in found.items()}
    return type(base)(name, (base,), {"__annotations__": kinds, "__module__": __name__, **fields}, table=True)


def refused(*models: Any, **line: Any) -> str:
    """Return the message for the registration of these classes."""
    registry = Registry()
    with pytest.raises(RegistrationError) as caught:  # noqa: PT012  the last line or the start raises
        for model in models:
            registry.register(model, write=ADMIN, **line)
        build([registry], sa.make_url("sqlite://").get_dialect()())
    assert "site-packages" not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_operations_and_schemas_have_one_class(base: Made) -> None:
    """`Setting` and `Settings` both create settings; `Product` and `ProductBatch` both have one schema."""
    said = refused(declare(base, "Setting"), declare(base, "Settings"))
    assert said.startswith("Settings and Setting would both have operations such as create_settings")
    said = refused(declare(base, "Product"), declare(base, "ProductBatch"))
    assert said.startswith("ProductBatch and Product would both have the schema ProductBatchUpdate")


def test_a_filter_has_one_column(base: Made) -> None:
    """Not two."""
    model = declare(base, "Offer", price=(int, Field(default=1)), price__gte=(int, Field(default=1)))
    assert "Offer: the filter price__gte would mean both price and price__gte" in refused(model)


@pytest.mark.parametrize("model", ["Book", Registry, 7])
def test_only_a_class_is_registered(model: Any) -> None:
    """Neither its name nor anything else."""
    assert "give the table class itself, as in register(Book" in refused(model)


def test_a_path_is_made_of_latin_letters(base: Made) -> None:
    """Nothing of the name is dropped silently."""
    assert "its name must be of the letters a to z" in refused(declare(base, "Über"))


@pytest.mark.parametrize(
    ("target", "fix"),
    [
        (
            "bigfolder.id",
            'Page.place_id refers to the table bigfolder, which no class has; write foreign_key="folders.id"',
        ),
        ("folder.id", 'write foreign_key="folders.id"'),
        ("shelves.id", "refers to the table shelves, which no class has; import the module of its class"),
        ("folders", """Page.place_id refers to 'folders'; name the table and its column: foreign_key="folders.id\""""),
        ("folders.number", "Page.place_id refers to folders.number, which is no column; folders has id"),
    ],
)
def test_a_foreign_key_leads_to_a_column(base: Made, target: str, fix: str) -> None:
    """The message names the table that is meant, or what there is."""
    folder = declare(base, "BigFolder", __tablename__=(str, "folders"))
    page = declare(base, "Page", place_id=(int | None, Field(default=None, foreign_key=target)))
    assert fix in refused(folder, page)


def test_an_owner_is_an_account(base: Made) -> None:
    """Neither another entity nor a text."""
    declare(base, "Pet")
    toy = declare(base, "Toy", pet_id=(int, Field(foreign_key="pet.id")), label=(str, Field(default="")))
    registry = Registry()
    with pytest.raises(RegistrationError, match="owner='pet_id', which refers to pet; name a column such as owner_id"):
        registry.register(toy, owner="pet_id", write=SIGNED_IN)
    with pytest.raises(RegistrationError, match="owner='label', which is String"):
        registry.register(toy, owner="label", write=SIGNED_IN)
