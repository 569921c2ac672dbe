"""Applications of the sample registries: they have everything that `rowhouse.create_app` gives a project."""

from collections.abc import Sequence

from fastapi import FastAPI
from sqlalchemy import MetaData

import rowhouse
from rowhouse import Registry, Settings
from tests.sample_entities.odd.base import metadata as odd_metadata
from tests.sample_entities.odd.registry import registry as odd
from tests.sample_entities.shop.models import metadata as shop_metadata
from tests.sample_entities.shop.registry import registry as shop


def create_app(
    settings: Settings | None = None,
    registry: Registry | Sequence[Registry] = shop,
    metadata: MetaData = shop_metadata,
) -> FastAPI:
    """Return an application of the sample shop, or of another registry under the same name."""
    return rowhouse.create_app(
        registry,
        settings=settings,
        metadata=metadata,
        title="Rowhouse",
        description="Sample entities for tests.",
        version=rowhouse.__version__,
        license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
    )


def create_odd_app(settings: Settings | None = None, registry: Registry = odd) -> FastAPI:
    """Return an application of the odd entities, or of another registry of them."""
    return create_app(settings, registry, odd_metadata)
