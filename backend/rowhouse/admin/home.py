"""The pages of the whole site: sign-in, sign-out, and the first page: counts, SLOs and the last changes."""

from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from rowhouse.admin.entity import Entity
from rowhouse.admin.internal_api import Answer
from rowhouse.admin.visit import Visit
from rowhouse.core.errors import InvalidInputError, PermissionDeniedError, TooManyAttemptsError
from rowhouse.metrics.objectives import objectives

# A table with more rows is not sorted by the time of its changes, which has no index: its newest keys stand for them.
SORTED_ROWS = 10_000
LAST_OF_EACH, LAST = 5, 12
# The inputs of the login.
BACK, EMAIL, PASSWORD = "next", "username", "password"  # nosec B105  # the names of inputs
SUCCESS = 200


class Count(NamedTuple):
    """An entity and the number of its rows."""

    entity: Entity
    total: int
    is_estimate: bool


class LastChange(NamedTuple):
    """A row that was created or changed."""

    at: str
    entity: Entity
    key: str
    title: str
    is_new: bool


async def show_home(visit: Visit) -> Response:
    """Show the number of rows of each entity, the health of the SLOs, and the last changes."""
    counts, last = [], []
    for entity in visit.entities():
        page = (await visit.api.get(entity.api_path, query="size=1")).json()
        counts.append(Count(entity, page["total"], page.get("total_is_estimate", False)))
        last += await _last_changes(visit, entity, page["total"])
    last.sort(key=lambda change: change.at, reverse=True)
    metrics = visit.site.metrics if visit.caller.is_admin else None
    # As at `/metrics`, a thread that serves no requests adds the numbers of all processes.
    found = None if metrics is None else await run_in_threadpool(objectives, metrics)
    longest = 0 if metrics is None else metrics.bounds[-1]
    return visit.render("home.html", counts=counts, objectives=found, longest=longest, last=last[:LAST])


async def _last_changes(visit: Visit, entity: Entity, total: int) -> list[LastChange]:
    """Return the rows that were changed last, of an entity that records the instant."""
    created, changed = entity.resource.created, entity.resource.updated or entity.resource.created
    if not total or changed is None:
        return []
    sort = changed if total <= SORTED_ROWS else entity.resource.key.names[0]
    query = urlencode({"size": LAST_OF_EACH, "sort": f"-{sort}"})
    page: Any = (await visit.api.get(entity.api_path, query=query)).json()
    return [
        LastChange(
            row[changed],
            entity,
            entity.key_of(row),
            entity.title_of(row),
            created is not None and _second(row[created]) == _second(row[changed]),
        )
        for row in page["items"]
    ]


def _second(instant: str) -> str:
    """Return an instant to the second: a new row has two instants, microseconds apart."""
    return instant.partition(".")[0].rstrip("Z")


async def show_login(visit: Visit) -> Response:
    """Show the form to sign in."""
    if visit.session.account is not None:
        return visit.redirect(visit.base)
    return visit.render("login.html", fault="", email="", back=visit.request.query_params.get(BACK, ""))


async def sign_in(visit: Visit) -> Response:
    """Sign in, with the API's own limits for failed attempts. Only roles that may use the pages get a session."""
    back = visit.text(BACK)
    status, fault = await _open_session(visit)
    if fault:
        return visit.render("login.html", status=status, fault=fault, email=visit.text(EMAIL), back=back)
    return visit.redirect(back if _is_ours(visit, back) else visit.base)


async def sign_in_again(visit: Visit) -> Response | None:
    """Sign in for a form that arrived after its session had ended. Return None if the form can be processed now.

    Else return a page that asks for the password and keeps the form.

    Raises:
        PermissionDeniedError: 403 for a form of another browser: another site could choose the account.
    """
    visit.check_browser()
    fault = ""
    if PASSWORD in visit.form:
        _, fault = await _open_session(visit)
        if not fault:
            return None
    kept = [(name, text) for name, text in visit.form.multi_items() if name not in (EMAIL, PASSWORD)]
    return visit.render("again.html", fault=fault, email=visit.text(EMAIL), kept=kept)


async def _open_session(visit: Visit) -> tuple[int, str]:
    """Sign in with the address and the password of the form. Return the status, and why it failed or ""."""
    body = urlencode({name: visit.text(name) for name in (EMAIL, PASSWORD)})
    outside = visit.api
    answer = await visit.site.accounts.sign_in(visit.session, outside, body=body)
    if visit.session.account is None:
        return SUCCESS, _refused_login(answer)
    try:
        visit.check_role()
    except PermissionDeniedError as error:
        await visit.site.accounts.sign_out(visit.session, outside)
        return error.status, error.detail
    visit.api = visit.site.accounts.api_of(visit.session, outside)
    return SUCCESS, ""


def _refused_login(answer: Answer) -> str:
    """Return the message about a failed login."""
    if answer.status == InvalidInputError.status:
        return "Enter the e-mail address and the password."
    if answer.status == TooManyAttemptsError.status:
        return f"Too many failed attempts. Try again in {answer.headers['retry-after']} seconds."
    return str(answer.problem().get("detail"))


async def sign_out(visit: Visit) -> Response:
    """End the session."""
    await visit.site.accounts.sign_out(visit.session, visit.api)
    return visit.redirect(visit.url("login"), notice="signed-out")


def way_back(visit: Visit) -> list[tuple[str, str]]:
    """Return the parameter that leads back to this page after the login; none for a form, which is not sent again."""
    request = visit.request
    if request.method == "POST" or not visit.parts:
        return []
    query = request.url.query
    return [(BACK, f"{visit.here}?{query}" if query else visit.here)]


def _is_ours(visit: Visit, address: str) -> bool:
    """Return True for an address of these pages. Any other would send the account to another site."""
    return address == visit.base or address.startswith((f"{visit.base}/", f"{visit.base}?"))
