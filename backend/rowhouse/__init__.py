"""Rowhouse: a SQLModel class becomes a production REST API with one line.

    from rowhouse import SIGNED_IN, Entity, Registry, create_app

    class Publisher(Entity, table=True):
        name: str

    registry = Registry("/api/v1")
    registry.register(Publisher, write=SIGNED_IN)
    app = create_app(registry)

A project imports from here and from nowhere else in the package. `docs/developing.md` explains every name.
"""

# ruff: noqa: I001  several names on a line: the imports and `__all__` fit on one screen
from rowhouse.core.collector import loading as _loading

with _loading():
    from rowhouse.app.factory import StartupCheck, create_app
    from rowhouse.app.jobs import get_crud, unit
    from rowhouse.auth.accounts import include_accounts
    from rowhouse.auth.models import ADMIN, User, caller_of
    from rowhouse.core.clock import now, set_clock
    from rowhouse.core.errors import (
        ConflictError, DuplicateError, InvalidInputError, InvalidRequestError, NotAuthenticatedError, NotFoundError,
        OverlapError, PermissionDeniedError, ReferenceNotFoundError, RowhouseError, UnavailableError,
    )  # fmt: skip
    from rowhouse.core.openapi import problem_responses
    from rowhouse.core.policy import ANYONE, SIGNED_IN, Policy, role
    from rowhouse.core.security import Caller, hash_password, verify_password
    from rowhouse.core.settings import Environment, ProjectSettings, Settings
    from rowhouse.crud.base import CRUDBase
    from rowhouse.crud.batch_errors import element_error, single_row_error
    from rowhouse.crud.dependencies import crud_of
    from rowhouse.db.compiled import Row
    from rowhouse.db.database import Database
    from rowhouse.db.unit_of_work import UnitOfWork
    from rowhouse.entities.model import (
        CREATE_ONLY, CREATED_AT, READ_ONLY, SECRET, UPDATED_AT, Adopted, BigIntegerKey, Entity, IntegerKey, Record,
        UUIDKey,
    )  # fmt: skip
    from rowhouse.entities.no_overlap import NoOverlap
    from rowhouse.entities.search_index import SearchIndex
    from rowhouse.entities.transition import Transition, TransitionError
    from rowhouse.health.readiness import StartRefusedError
    from rowhouse.http.dependencies import CallerDep, SessionDep, SettingsDep, UnitDep, get_caller
    from rowhouse.http.routing import Router
    from rowhouse.operations.route import LOCATED, TAGGED, row_id
    from rowhouse.registration.registry import Registry, create_schema, public_schema
    from rowhouse.requests.idempotency import REPLAYED
    from rowhouse.requests.paths import location_of
    from rowhouse.schemas.columns import RegistrationError
    from rowhouse.schemas.json_types import ExactDecimal, Instant

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022  by concern
    # the application
    "create_app", "Registry", "RegistrationError", "Settings", "ProjectSettings", "Environment",
    "StartupCheck", "StartRefusedError", "include_accounts", "User",
    # entities
    "Entity", "IntegerKey", "BigIntegerKey", "UUIDKey", "Record", "READ_ONLY", "CREATE_ONLY", "SECRET",
    "CREATED_AT", "UPDATED_AT", "Adopted",
    "NoOverlap", "SearchIndex", "Transition", "TransitionError",
    # policies and callers
    "ANYONE", "SIGNED_IN", "ADMIN", "role", "Policy", "Caller", "caller_of",
    # rules
    "CRUDBase", "Row", "UnitOfWork", "Database", "unit", "get_crud", "element_error", "single_row_error", "now",
    # hand-written routes
    "Router", "SessionDep", "UnitDep", "CallerDep", "SettingsDep", "crud_of", "row_id", "Instant", "ExactDecimal",
    "public_schema", "create_schema", "problem_responses", "location_of", "LOCATED", "TAGGED", "REPLAYED",
    # errors
    "RowhouseError", "InvalidRequestError", "NotAuthenticatedError", "PermissionDeniedError", "NotFoundError",
    "ConflictError", "DuplicateError", "ReferenceNotFoundError", "OverlapError", "InvalidInputError",
    "UnavailableError",
    # passwords and tests
    "hash_password", "verify_password", "get_caller", "set_clock",
]  # fmt: skip
