"""Rowhouse: a SQLModel class becomes a production REST API with one line.

    from rowhouse import Entity, Registry, create_app

    class Publisher(Entity, table=True):
        name: str

    registry = Registry("/api/v1")
    registry.register(Publisher)
    app = create_app(registry)

A project imports from here and from nowhere else in the package.
"""

from rowhouse.app.factory import create_app
from rowhouse.app.jobs import get_crud, unit
from rowhouse.auth.accounts import include_accounts
from rowhouse.auth.models import ADMIN, User, caller_of
from rowhouse.core.clock import now
from rowhouse.core.errors import (
    ConflictError,
    DuplicateError,
    InvalidInputError,
    InvalidRequestError,
    NotAuthenticatedError,
    NotFoundError,
    OverlapError,
    PermissionDeniedError,
    ReferenceNotFoundError,
    RowhouseError,
)
from rowhouse.core.openapi import problem_responses
from rowhouse.core.policy import ANYONE, SIGNED_IN, Policy, role
from rowhouse.core.security import Caller, hash_password, verify_password
from rowhouse.core.settings import Environment, ProjectSettings, Settings
from rowhouse.crud.base import CRUDBase
from rowhouse.crud.batch_errors import element_error, single_row_error
from rowhouse.crud.dependencies import crud_of
from rowhouse.db.compiled import Row
from rowhouse.db.unit_of_work import Database, UnitOfWork
from rowhouse.entities.model import CREATE_ONLY, READ_ONLY, SECRET, Entity
from rowhouse.entities.no_overlap import NoOverlap
from rowhouse.entities.search_index import SearchIndex
from rowhouse.entities.transition import Transition, TransitionError
from rowhouse.health.readiness import StartRefusedError
from rowhouse.http.dependencies import CallerDep, SessionDep, SettingsDep, UnitDep
from rowhouse.http.routing import Router
from rowhouse.operations.route import LOCATED, TAGGED, row_id
from rowhouse.registration.registry import Registry, create_schema, public_schema
from rowhouse.requests.idempotency import REPLAYED
from rowhouse.requests.paths import location_of
from rowhouse.schemas.columns import RegistrationError
from rowhouse.schemas.field_types import ExactDecimal, Instant

__version__ = "0.1.0"

__all__ = [
    "ADMIN",
    "ANYONE",
    "CREATE_ONLY",
    "LOCATED",
    "READ_ONLY",
    "REPLAYED",
    "SECRET",
    "SIGNED_IN",
    "TAGGED",
    "CRUDBase",
    "Caller",
    "CallerDep",
    "ConflictError",
    "Database",
    "DuplicateError",
    "Entity",
    "Environment",
    "ExactDecimal",
    "Instant",
    "InvalidInputError",
    "InvalidRequestError",
    "NoOverlap",
    "NotAuthenticatedError",
    "NotFoundError",
    "OverlapError",
    "PermissionDeniedError",
    "Policy",
    "ProjectSettings",
    "ReferenceNotFoundError",
    "RegistrationError",
    "Registry",
    "Router",
    "Row",
    "RowhouseError",
    "SearchIndex",
    "SessionDep",
    "Settings",
    "SettingsDep",
    "StartRefusedError",
    "Transition",
    "TransitionError",
    "UnitDep",
    "UnitOfWork",
    "User",
    "caller_of",
    "create_app",
    "create_schema",
    "crud_of",
    "element_error",
    "get_crud",
    "hash_password",
    "include_accounts",
    "location_of",
    "now",
    "problem_responses",
    "public_schema",
    "role",
    "row_id",
    "single_row_error",
    "unit",
    "verify_password",
]
