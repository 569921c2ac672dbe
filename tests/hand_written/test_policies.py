"""A hand-written route that reaches an entity has its policy unless it declares another. Any other needs an account."""

from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends
from starlette.testclient import TestClient

from rowhouse.core.openapi import resolved
from rowhouse.core.policy import ANYONE, SIGNED_IN, Policy
from rowhouse.core.security import Caller
from rowhouse.crud.dependencies import crud_of
from rowhouse.http.dependencies import CallerDep, SessionDep, get_caller
from rowhouse.http.routing import OneHopRoute, Router
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import RegistrationError
from tests.conftest import unique
from tests.core.conftest import Serve
from tests.hand_written.clinic import STAFF, VETS
from tests.hand_written.conftest import Headers
from tests.sample_entities.shop.models import Category

API = "/api/v1"
FAR = 2**31 - 1
Statuses = Mapping[str, int]


def statuses(*, nobody: int, forged: int, user: int, driver: int, admin: int, disabled: int) -> Statuses:
    """Return the status for each caller."""
    return {
        "nobody": nobody, "forged": forged, "user": user, "driver": driver, "admin": admin, "disabled": disabled
    }  # fmt: skip


def closed(policy: Policy, status: int) -> Statuses:
    """Return the expected status for each caller, of a route with a policy and this status."""
    roles = policy.roles or {"user", "driver", "admin"}
    told = {role: status if role in roles else 403 for role in ("user", "driver", "admin")}
    return statuses(nobody=401, forged=401, disabled=403, **told)


PUBLIC = statuses(nobody=200, forged=401, user=200, driver=200, admin=200, disabled=403)
UNREAD = dict.fromkeys(PUBLIC, 200)
EXPECTED: dict[tuple[str, str], Statuses] = {
    ("GET", "/appointments"): closed(STAFF, 200),
    ("POST", f"/appointments/{FAR}/confirm"): closed(STAFF, 404),
    ("GET", "/appointments/7/notes"): closed(STAFF, 200),
    ("GET", "/appointments/today"): closed(STAFF, 200),
    ("GET", "/appointments/names"): closed(STAFF, 200),
    ("GET", "/appointments/free"): UNREAD,
    ("POST", f"/appointments/{FAR}/weigh"): closed(VETS, 404),
    ("GET", "/reports/both"): closed(STAFF, 200),
    ("GET", "/reports/prices"): PUBLIC,
    ("GET", "/rooms/all"): closed(SIGNED_IN, 200),
    ("PUT", "/rooms/all"): closed(STAFF, 200),
    ("GET", "/statistics"): closed(SIGNED_IN, 200),
    ("GET", "/mine"): closed(SIGNED_IN, 200),
    ("GET", "/clock"): UNREAD,
}


@pytest.mark.parametrize("operation", EXPECTED, ids=" ".join)
def test_a_route_has_the_policy_of_what_it_reaches(
    served: TestClient, callers: Mapping[str, Headers], operation: tuple[str, str]
) -> None:
    """By `crud_of`, by the session at its path, or by a dependency. With two entities both apply.

    `policy=` replaces them.
    """
    method, path = operation
    answers = {name: served.request(method, f"{API}{path}", headers=headers) for name, headers in callers.items()}
    assert {name: answer.status_code for name, answer in answers.items()} == EXPECTED[operation]


def test_the_caller_comes_before_the_row_and_the_input(served: TestClient, callers: Mapping[str, Headers]) -> None:
    """A driver who gets 403 on the list gets 403 on the step, whatever is wrong with the request."""
    for path in (f"/appointments/{FAR}/confirm", "/appointments/x/confirm", "/appointments/1/confirm?nope=1"):
        for name, status in (("nobody", 401), ("driver", 403)):
            assert served.post(f"{API}{path}", headers=callers[name]).status_code == status


def test_a_step_of_staff_works_for_staff(served: TestClient, callers: Mapping[str, Headers]) -> None:
    """With its row and its entity tag. A vet may weigh, by the route's policy."""
    body = {"name": unique("appointment")}
    made = served.post(f"{API}/appointments", json=body, headers=callers["admin"]).json()
    answer = served.post(f"{API}/appointments/{made['id']}/confirm", headers=callers["admin"])
    assert (answer.status_code, answer.json()["name"]) == (200, body["name"])
    assert answer.headers["etag"]
    weighed = served.post(f"{API}/appointments/{made['id']}/weigh", headers=callers["driver"])
    assert weighed.json() == body["name"]


def test_a_token_that_is_sent_to_a_public_route_is_looked_at(
    served: TestClient, callers: Mapping[str, Headers]
) -> None:
    """The unit knows the caller, so that the verbs apply the caller's scope."""
    assert served.get(f"{API}/reports/prices").json() == ["Book", None]
    assert served.get(f"{API}/reports/prices", headers=callers["driver"]).json() == ["Book", "driver"]


def test_the_document_says_who_may(served: TestClient) -> None:
    """It has the security requirement, 401 and 403 for closed routes, and none of them for open ones."""
    paths = resolved(served.get("/openapi.json").json())["paths"]
    told = {
        path: (
            paths[f"{API}{path}"][method].get("security"),
            sorted({"401", "403"} & set(paths[f"{API}{path}"][method]["responses"])),
        )
        for method, path in (
            ("post", "/appointments/{id}/confirm"), ("get", "/statistics"), ("get", "/mine"),
            ("get", "/reports/prices"), ("get", "/appointments/free"), ("get", "/clock"),
        )
    }  # fmt: skip
    needed: list[dict[str, list[str]]] = [{"OAuth2PasswordBearer": []}]
    assert told == {
        "/appointments/{id}/confirm": (needed, ["401", "403"]),
        "/statistics": (needed, ["401", "403"]),
        "/mine": (needed, ["401", "403"]),
        "/reports/prices": (None, ["401", "403"]),
        "/appointments/free": ([], []),
        "/clock": ([], []),
    }


def test_a_router_says_it_for_all_its_routes(serve: Serve) -> None:
    """A route may declare another policy. The policy applies to every method."""
    router = Router(prefix="/lobby", policy=ANYONE)

    def endpoint(session: SessionDep) -> int:
        return 1 if session.is_active else 0

    for method in ("get", "post", "put", "patch", "delete", "options", "head", "trace"):
        getattr(router, method)("", operation_id=f"{method}_lobby")(endpoint)
        getattr(router, method)("/desk", policy=SIGNED_IN, operation_id=f"{method}_desk")(endpoint)
    client = serve(router)
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE"):
        assert client.request(method, f"{API}/lobby").status_code == 200
        assert client.request(method, f"{API}/lobby/desk").status_code == 401


def test_two_applications_of_one_router_have_their_own_policies(serve: Serve) -> None:
    """The original route does not change."""
    router = Router(prefix="/categories")

    @router.get("/count")
    def read_count(session: SessionDep) -> int:
        return 1 if session.is_active else 0

    found = []
    for read in (ANYONE, STAFF):
        registry = Registry("/api/v1")
        registry.register(Category, read=read, write=STAFF)
        registry.include(router)
        found.append(serve(registry=registry))
    assert [client.get(f"{API}/categories/count").status_code for client in found] == [200, 401]
    written = router.routes[0]
    assert isinstance(written, OneHopRoute)
    assert written.policy is None


def plain_route(**options: Any) -> APIRouter:
    """Return a router of FastAPI with a route."""
    router = APIRouter()

    def endpoint() -> int:
        return 1

    router.get("/plain", **options)(endpoint)
    return router


@pytest.mark.parametrize("dependency", [Depends(get_caller), crud_of(Category)], ids=["caller", "verbs"])
def test_fastapis_own_routes_reach_nothing(serve: Serve, dependency: Any) -> None:
    """Their policies would not be checked."""
    with pytest.raises(RegistrationError, match=r"declare it on rowhouse\.http\.routing\.Router"):
        serve(plain_route(dependencies=[dependency]))


def test_fastapis_own_routes_may_have_other_dependencies(serve: Serve) -> None:
    """Those that need no unit of work."""

    def harmless() -> None:
        return None

    assert serve(plain_route(dependencies=[Depends(harmless)])).get(f"{API}/plain").json() == 1


def test_a_policy_names_the_roles_that_it_allows() -> None:
    """Anyone, any account, or a role."""
    user = Caller(id=1, role="user")
    assert [ANYONE.allows(None), SIGNED_IN.allows(None), STAFF.allows(None)] == [True, False, False]
    assert [ANYONE.allows(user), SIGNED_IN.allows(user), STAFF.allows(user)] == [True, True, False]


def test_options_without_effect_are_refused(serve: Serve) -> None:
    """At start-up, with the route and the option."""
    router = Router()

    def asking(caller: CallerDep) -> str:
        return caller.role

    router.get("/mine", policy=ANYONE)(asking)
    with pytest.raises(RegistrationError, match="asking: policy=ANYONE beside CallerDep"):
        serve(router)
    wrong: Any = "anyone"
    with pytest.raises(TypeError, match="asking: policy='anyone' is not a policy"):
        Router().get("/mine", policy=wrong)(asking)
    with pytest.raises(TypeError, match="route_class_override would lose the policy"):
        Router().add_api_route("/mine", asking, route_class_override=OneHopRoute)


def test_verbs_of_an_entity_that_is_not_registered_are_refused(serve: Serve) -> None:
    """Every request would be a 500."""
    router = Router()

    @router.get("/ghosts")
    def read_ghosts(found: Annotated[Any, crud_of(Category)]) -> bool:
        return bool(found)

    with pytest.raises(RegistrationError, match=r"read_ghosts: crud_of\(Category\), which is not registered"):
        serve(router)
