"""`@computed_field` of pydantic: members of every response, from the whole row."""

from collections.abc import Iterator
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any

import pytest
import sqlalchemy as sa
from pydantic import computed_field, model_validator
from sqlalchemy.orm import configure_mappers
from sqlalchemy.orm.exc import DetachedInstanceError
from sqlmodel import Field, Relationship
from starlette.testclient import TestClient

from rowhouse.core.openapi import resolved
from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.entities.model import SECRET, IntegerKey, PortableTable, Record
from rowhouse.registration.registry import Registry, public_schema
from rowhouse.schemas.columns import RegistrationError
from rowhouse.schemas.computed import RowComputer, computed_members
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.metadata import new_metadata

metadata = new_metadata()
ACCOUNTS, API = "/api/v1/bank-accounts", "/api/v1"


class Base(IntegerKey, PortableTable, registry=sa.orm.registry(metadata=metadata)):
    """A key alone."""


class BankAccount(Base, table=True):
    """Hidden columns, of which computed members show a part."""

    iban: str = Field(exclude=True)
    salt: Annotated[str, SECRET] = "s"
    paid: Decimal = Field(default=Decimal(0), max_digits=8, decimal_places=2)
    rate: float = 0.5
    payments: list["Payment"] = Relationship(back_populates="bank_account")

    @computed_field(title="Masked", description="The end of the number.", examples=["…3000"])  # type: ignore[prop-decorator]  # as pydantic's documentation has it
    @property
    def masked(self) -> str:
        """Shown instead of the number."""
        return self._hide(self.iban) + self.salt

    @computed_field  # type: ignore[prop-decorator]  # as above
    @cached_property
    def taxed(self) -> Decimal | None:
        """A decimal, or null."""
        return self.paid * 2 if self.paid else None

    @computed_field
    def facts(self) -> dict[str, int]:
        """A document."""
        return {"length": len(self.iban)}

    @computed_field
    def is_rich(self) -> bool:
        """A truth."""
        return self.paid > 9

    def _hide(self, text: str) -> str:
        return f"…{text[-4:]}"


class Payment(Base, Record, table=True):
    """Refers to an account, and has a rule of its own and a composite answer."""

    bank_account_id: int = Field(foreign_key="bank_accounts.id", index=True)
    note: str = ""
    bank_account: BankAccount | None = Relationship(back_populates="payments")

    @computed_field
    def words(self) -> int:
        """How many words the note has."""
        return len(self.note.split())

    @model_validator(mode="after")
    def _short(self) -> "Payment":
        if len(self.note) > 20:
            raise ValueError("too long")
        return self


class Bare(PortableTable, registry=sa.orm.registry(metadata=metadata)):
    """No column."""


class Seat(Bare, table=True):
    """A key of two columns, and nothing else."""

    row: int = Field(primary_key=True)
    number: int = Field(primary_key=True)

    @computed_field
    def label(self) -> str:
        """As a ticket shows it."""
        return f"={self.row}-{self.number}"


def registry() -> Registry:
    """The entities, written by anyone."""
    made = Registry("/api/v1")
    made.register(BankAccount, read=ANYONE, write=ANYONE, search=())
    made.register(Payment, read=ANYONE, write=ANYONE, soft_delete=True, history=True)
    made.register(Seat, read=ANYONE, write=ANYONE)
    return made


@pytest.fixture(scope="module")
def client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """An application of them."""
    url = databases.prepared(backend, "computed_fields", metadata.create_all)
    with QuickClient(create_app(Settings(database_url=url, **QUIET), registry(), metadata=metadata)) as made:
        yield made


def test_every_response_has_them(client: TestClient) -> None:
    """Writes, reads, lists, parts of rows and files; hidden columns stay hidden."""
    made = client.post(ACCOUNTS, json={"iban": "DE3000", "paid": 10})
    row = made.json()
    assert row == {
        "id": row["id"], "paid": 10.0, "rate": 0.5, "masked": "…3000s", "taxed": 20.0, "facts": {"length": 6},
        "is_rich": True,
    }  # fmt: skip
    where = made.headers["Location"]
    assert client.get(where).json() == row
    assert client.get(where, headers={"If-None-Match": made.headers["etag"]}).status_code == 304
    assert client.get(ACCOUNTS, params={"id": row["id"]}).json()["items"] == [row]
    assert client.get(where, params={"fields": "masked"}).json() == {"masked": "…3000s"}
    changed = client.patch(where, json={"iban": "FR1", "paid": 0})
    assert (changed.json()["masked"], changed.json()["taxed"], changed.json()["is_rich"]) == ("…FR1s", None, False)
    batch = client.patch(f"{ACCOUNTS}/batch", json=[{"id": row["id"], "paid": 1}]).json()
    assert batch[0]["taxed"] == 2
    assert client.post(f"{ACCOUNTS}/batch", json=[{"iban": "X"}]).json()[0]["facts"] == {"length": 1}
    csv = client.get(f"{ACCOUNTS}/export", params={"id": row["id"], "fields": "id,masked,taxed,facts,is_rich"})
    assert csv.text.splitlines()[1] == f'{row["id"]},…FR1s,2.0,"{{""length"":3}}",false'
    whole = client.get(f"{ACCOUNTS}/export", params={"id": row["id"], "format": "ndjson"}).json()
    assert whole == client.get(where).json()


def test_nobody_sets_or_filters_them(client: TestClient) -> None:
    """They are no columns."""
    for answer in (
        client.post(ACCOUNTS, json={"iban": "x", "masked": "y"}),
        client.get(ACCOUNTS, params={"masked": "y"}),
        client.get(ACCOUNTS, params={"sort": "masked"}),
        client.get(ACCOUNTS, params={"iban": "DE3000"}),
    ):
        assert answer.status_code == 422


def test_rows_within_rows_have_them(client: TestClient) -> None:
    """In both directions, and after a delete and a restore; the history shows columns."""
    account = client.post(ACCOUNTS, json={"iban": "DE9"}).json()
    made = client.post(f"{API}/payments", json={"bank_account_id": account["id"], "note": "a b"})
    where = made.headers["Location"]
    assert made.json()["words"] == 2
    assert client.get(where, params={"expand": "bank_account"}).json()["bank_account"] == account
    (inner,) = client.get(f"{ACCOUNTS}/{account['id']}", params={"expand": "payments"}).json()["payments"]
    assert inner == made.json()
    assert client.patch(where, json={"note": "a b c"}).json()["words"] == 3
    assert client.patch(where, json={"note": "x" * 21}).status_code == 422
    assert client.delete(where).status_code == 204
    assert client.get(f"{API}/payments/deleted").json()["items"][0]["note"] == "a b c"
    assert client.post(f"{where}/restore").json()["words"] == 3
    assert all("words" not in (one["after"] or {}) for one in client.get(f"{where}/history").json()["items"])


def test_keys_of_several_columns(client: TestClient) -> None:
    """A text is no formula in a spreadsheet."""
    made = client.post(f"{API}/seats", json={"row": 1, "number": 2})
    assert client.get(made.headers["Location"]).json() == {"row": 1, "number": 2, "label": "=1-2"}
    assert client.put(made.headers["Location"], json={}).json() == made.json()
    assert client.get(f"{API}/seats/export").text.splitlines() == ["row,number,label", "1,2,'=1-2"]
    assert client.delete(made.headers["Location"]).status_code == 204


def test_the_document_describes_them(client: TestClient) -> None:
    """In responses alone; a decimal is a number."""
    schemas = resolved(client.get("/openapi.json").json())["components"]["schemas"]
    shown = schemas["BankAccountPublic"]["properties"]
    assert shown["masked"] == {
        "type": "string", "title": "Masked", "description": "The end of the number.", "examples": ["…3000"],
        "readOnly": True,
    }  # fmt: skip
    assert shown["taxed"]["anyOf"] == [{"type": "number"}, {"type": "null"}]
    assert "masked" not in schemas["BankAccountCreate"]["properties"]
    assert "masked" in public_schema(BankAccount).model_fields


class Loose(IntegerKey, registry=sa.orm.registry(metadata=new_metadata())):
    """A base of classes that are refused."""


class Crowd(Loose, table=True):
    """Computes from related rows, which a row lacks."""

    members: list["Member"] = Relationship(back_populates="crowd")

    @computed_field
    def size(self) -> int:
        """How many there are."""
        return len(self.members)


class Member(Loose, table=True):
    """One of a crowd, whose computed member has another name."""

    crowd_id: int | None = Field(default=None, foreign_key="crowd.id")
    crowd: Crowd | None = Relationship(back_populates="members")

    @computed_field(alias="theSize")
    def size(self) -> int:
        """A number."""
        return 1


class Called(Loose, table=True):
    """Describes its computed member by a function."""

    @computed_field(json_schema_extra=lambda schema: None)
    def size(self) -> int:
        """A number."""
        return 1


class Untyped(Loose, table=True):
    """Gives the type of its computed member elsewhere."""

    @computed_field(return_type=int)
    def size(self):  # type: ignore[no-untyped-def]  # noqa: ANN201  what the test is about
        """A number."""
        return 1


class Indirect(Loose, table=True):
    """Reads related rows in a method, which the check of the class does not see."""

    members: list["Follower"] = Relationship(back_populates="leader")

    @computed_field
    def size(self) -> int:
        """How many there are."""
        return self._count()

    def _count(self) -> int:
        return len(self.members)


class Follower(Loose, table=True):
    """One of them."""

    leader_id: int | None = Field(default=None, foreign_key="indirect.id")
    leader: Indirect | None = Relationship(back_populates="members")


def test_reading_related_rows_is_an_error() -> None:
    """An empty list would be untrue."""
    sa.inspect(Indirect).registry.configure()
    computer = RowComputer(Indirect, computed_members(Indirect), [])
    with pytest.raises(DetachedInstanceError):
        computer.add([{"id": 1}], keeps_hidden=False)


def test_hidden_columns_leave_the_row() -> None:
    """A hook and the history get the row without them, unless they ask for the whole row."""
    whole = {"id": 1, "iban": "DE3000", "salt": "s", "paid": Decimal(0), "rate": 0.5}
    configure_mappers()  # as the start of an application does
    computer = RowComputer(BankAccount, computed_members(BankAccount), ["iban", "salt"])
    shown, kept = dict(whole), dict(whole)
    computer.add([shown], keeps_hidden=False)
    computer.add([kept], keeps_hidden=True)
    assert shown.keys() == {"id", "paid", "rate", "masked", "taxed", "facts", "is_rich"}
    assert kept.keys() == shown.keys() | {"iban", "salt"}


class Early(Loose, table=True):
    """Refers to a class that is declared later."""

    lates: list["Late"] = Relationship(back_populates="early")


def test_a_class_is_registered_before_those_that_it_relates_to() -> None:
    """The check of computed fields looks for no other class."""
    Registry().register(Early, read=ANYONE, write=ANYONE)


class Late(Loose, table=True):
    """The later class."""

    early_id: int | None = Field(default=None, foreign_key="early.id")
    early: Early | None = Relationship(back_populates="lates")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Crowd, r"Crowd\.size: @computed_field cannot be shown: it reads members, .* use extra_fields"),
        (Member, r"Member\.size: .*alias='theSize' would have no effect; give the function the name"),
        (Called, r"Called\.size: .*json_schema_extra is a function"),
        (Untyped, r"Untyped\.size: .*annotate what the function returns"),
    ],
)
def test_what_cannot_be_shown_is_refused(model: Any, said: str) -> None:
    """With the class, the member and the fix."""
    with pytest.raises(RegistrationError, match=said):
        Registry().register(model, read=ANYONE, write=ANYONE)
