"""The library's registry, its rule for labels, and its application."""

import sqlalchemy as sa
from fastapi import FastAPI
from sqlmodel import col

import rowhouse
from rowhouse import ADMIN, ANYONE, SIGNED_IN, Caller, CRUDBase, Registry, Settings, include_accounts
from tests.sample_entities.library.models import (
    Author,
    Book,
    Label,
    Loan,
    Portrait,
    Publisher,
    Reader,
    Review,
    metadata,
)


class LabelCRUD(CRUDBase[Label]):
    """Labels: hidden ones are the administrators'."""

    def scope(self, caller: Caller | None) -> sa.ColumnElement[bool] | None:
        """Administrators see all."""
        return None if caller is not None and caller.is_admin else col(Label.is_hidden).is_(False)


registry = Registry("/api/v1")
include_accounts(registry)
registry.register(Author, read=ANYONE, write=ADMIN)
registry.register(Book, read=ANYONE, write=SIGNED_IN, history=True)
registry.register(Label, read=ANYONE, write=ADMIN, crud=LabelCRUD)
registry.register(Loan, owner="owner_id")
registry.register(Portrait, read=ANYONE, write=ADMIN)
registry.register(Publisher, read=ADMIN, write=ADMIN)
registry.register(Reader, read=ANYONE, write=ADMIN)
registry.register(Review, owner="owner_id")


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the library's application."""
    return rowhouse.create_app(registry, settings=settings, metadata=metadata, title="Library")
