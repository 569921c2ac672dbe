"""The application of this product: `uvicorn app.main:create_app --factory`, or `rowhouse run`."""

from collections.abc import Sequence

from fastapi import FastAPI
from sqlalchemy import MetaData
from sqlmodel import SQLModel

import rowhouse
from app.api import registry as product
from app.demo.accounts import refuse_demo_accounts
from rowhouse import Registry, Settings


def create_app(
    settings: Settings | None = None,
    registry: Registry | Sequence[Registry] = product,
    metadata: MetaData = SQLModel.metadata,
) -> FastAPI:
    """Return the bookstore and the charging network, or another registry under the same name."""
    return rowhouse.create_app(
        registry,
        settings=settings,
        metadata=metadata,
        title="Rowhouse",
        description="A bookstore and a charging network on Rowhouse: every entity is one class and one line.",
        version=rowhouse.__version__,
        license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        startup_checks=[refuse_demo_accounts],
    )
