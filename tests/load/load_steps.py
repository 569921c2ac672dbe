"""Helpers for tests of the load: generated bodies, and a sender that records which responses are valid."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.testclient import TestClient

from rowhouse.load.accounts import Account, Request, Response, sender
from rowhouse.load.bodies import Bodies
from rowhouse.load.hints import hints_of
from rowhouse.load.operations import Api
from rowhouse.registration.registry import Registry
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD

START = datetime(2030, 1, 31, 12, tzinfo=UTC)


def administrator() -> Account:
    """Return the administrator's account, not signed in."""
    return Account(email=ADMIN_EMAIL, password=ADMIN_PASSWORD)


def reference(collection: str) -> object:
    """Return a key of the type that the collection has."""
    return str(uuid.uuid4()) if collection.endswith("/leaves") else 1


def creatable(registry: Registry) -> list[str]:
    """Return the paths of the entities that can be created."""
    return [path for path, registration in registry.registrations.items() if "create" in registration.operations]


def check_bodies(document: Mapping[str, Any], registry: Registry, path: str) -> None:
    """Validate sixty generated bodies of create and of update, and check that no member is ignored."""
    api = Api(document, hints_of([registry]))
    bodies = Bodies(document, api.targets, hints=api.hints)
    schemas = registry.registrations[path].resource.schemas
    for method, place, model in (("POST", path, schemas.create), ("PATCH", f"{path}/{{id}}", schemas.update)):
        operation = api.by_label[f"{method} /{place}"]
        assert operation.body is not None
        for _ in range(60):
            body = bodies.generate(operation.body, refer=reference, start=START)
            validated = model.model_validate_json(json.dumps(body))
            assert validated.model_fields_set == set(body)


class RecordingSender:
    """Sends requests with a client; records the labels with a valid response, and the errors of the others."""

    def __init__(self, client: TestClient) -> None:
        self._send = sender(client)
        self.valid: set[str] = set()
        self.errors: list[str] = []

    def __call__(self, request: Request) -> Response:
        """Send a request."""
        response = self._send(request)
        error = request.error_of(response)
        if error is None:
            self.valid.add(f"{request.method} {request.name}")
        else:
            self.errors.append(f"{request.method} {request.name}: {error}")
        return response
