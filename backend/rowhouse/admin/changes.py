"""The pages that change rows: new, edit, delete, restore and steps. Each sends one request to the API.

A form that the API refuses is shown again with its errors and the status 200, for browsers report any other one as an
error of the page.
"""

import secrets
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode

from starlette.responses import Response

from rowhouse.admin.entity import Entity, Row
from rowhouse.admin.forms import Form, body_of, edit_form, merge, new_form, sent_form
from rowhouse.admin.internal_api import JSON, Answer, ApiError
from rowhouse.admin.lists import first_page
from rowhouse.admin.rows import context_of, read_row
from rowhouse.admin.visit import Visit
from rowhouse.core.errors import (
    ConflictError,
    InvalidInputError,
    InvalidRequestError,
    NotFoundError,
    PreconditionFailedError,
)
from rowhouse.query.pagination import MAX_SIZE

# Errors that the user can correct in the form.
AT_THE_FORM = (InvalidRequestError.status, ConflictError.status, InvalidInputError.status)
REPEAT, QUERY = "repeat", "query"


async def show_new(visit: Visit, entity: Entity) -> Response:
    """Show the form of a new row. The address may give values."""
    _require(visit, entity, "create")
    return await _form_page(visit, new_form(visit, entity, dict(visit.query)), key="", repeat=secrets.token_urlsafe())


async def create(visit: Visit, entity: Entity) -> Response:
    """Create a row. A form that is sent twice creates one row."""
    _require(visit, entity, "create")
    form = sent_form(visit, entity, entity.create_fields.values())
    body, repeat = body_of(visit, form, is_new=True), visit.text(REPEAT)
    if form.has_faults:
        return await _form_page(visit, form, key="", repeat=repeat)
    headers = {"content-type": JSON, "idempotency-key": repeat or secrets.token_urlsafe()}
    answer = await visit.api.call("POST", entity.api_path, body=body.encode(), headers=headers)
    if answer.is_success:
        return _to_row(visit, entity, entity.key_of(answer.json()), notice="created")
    _add(form, answer)
    return await _form_page(visit, form, key="", repeat=repeat)


async def show_edit(visit: Visit, entity: Entity, key: str) -> Response:
    """Show the form of a stored row."""
    _require(visit, entity, "update")
    row, tag = await _stored(visit, entity, key)
    return await _form_page(visit, edit_form(visit, entity, row, tag), key=key)


async def change(visit: Visit, entity: Entity, key: str) -> Response:
    """Store the values that differ, if nobody else has changed the row since the form was shown."""
    _require(visit, entity, "update")
    form = sent_form(visit, entity, entity.update_fields.values())
    body = body_of(visit, form, is_new=False)
    if form.has_faults:
        return await _form_page(visit, form, key=key)
    if body == "{}":
        return _to_row(visit, entity, key, notice="unchanged")
    if not form.tag:  # a hand-written GET without an entity tag
        row, tag = await _stored(visit, entity, key)
        if merge(visit, form, row, tag):
            return await _form_page(visit, form, key=key)
    headers = {"content-type": JSON, **_if_match(form.tag)}
    answer = await visit.api.call(entity.change_method, entity.row_path(key), body=body.encode(), headers=headers)
    if answer.is_success:
        return _to_row(visit, entity, key, notice="changed")
    if answer.status == PreconditionFailedError.status:
        merge(visit, form, *await _stored(visit, entity, key))
        form.is_stale = True
    else:
        _add(form, answer)
    return await _form_page(visit, form, key=key)


async def ask_delete(visit: Visit, entity: Entity, key: str) -> Response:
    """Ask whether to delete a row."""
    _require(visit, entity, "delete")
    row, tag = await _stored(visit, entity, key)
    return visit.render(
        "delete.html", entity=entity, titles=[entity.title_of(row)], keys=[], query="", tag=tag, faults=[],
        action=visit.row_url(entity, key, "delete"), back=visit.row_url(entity, key),
    )  # fmt: skip


async def delete(visit: Visit, entity: Entity, key: str) -> Response:
    """Delete a row, if it is still the one that was shown."""
    _require(visit, entity, "delete")
    answer = await visit.api.call("DELETE", entity.row_path(key), headers=_if_match(visit.text("tag")))
    if answer.is_success:
        kept = f":{key}" if entity.resource.soft_delete else ""
        return visit.redirect(visit.list_url(entity), notice=f"deleted{kept}")
    return await _row_page(visit, entity, key, answer)


async def delete_many(visit: Visit, entity: Entity) -> Response:
    """Delete the chosen rows, all or none. Ask first."""
    _require(visit, entity, "delete")
    keys = [str(key) for key in visit.form.getlist("keys")]
    query = parse_qsl(visit.text(QUERY))
    if not keys:
        return visit.redirect(visit.list_url(entity, query), notice="none-chosen")
    titles, faults = await _titles_of(visit, entity, keys), []
    if "confirmed" in visit.form:
        ids = urlencode({"ids": entity.ids_of(keys)})
        answer = await visit.api.call("DELETE", f"{entity.api_path}/batch", query=ids)
        if answer.is_success:
            return visit.redirect(visit.list_url(entity, first_page(query)), notice="deleted")
        if answer.status not in AT_THE_FORM:
            raise ApiError(answer)
        faults = _faults_of(answer, titles)
    return visit.render(
        "delete.html", entity=entity, titles=titles, keys=keys, query=urlencode(query),
        tag="", faults=faults, action=visit.url(entity.slug, "delete"), back=visit.list_url(entity, query),
    )  # fmt: skip


async def _titles_of(visit: Visit, entity: Entity, keys: Sequence[str]) -> list[str]:
    """Return what the rows of these keys are called, each with its key."""
    found: dict[str, str] = {}
    parameter = f"{entity.resource.key.names[0]}__in"
    if not entity.resource.key.is_composite and parameter in entity.resource.parameters.filters:
        query = urlencode({parameter: entity.ids_of(keys), "size": MAX_SIZE})
        answer = await visit.api.call("GET", entity.api_path, query=query)
        rows = answer.json()["items"] if answer.is_success else []
        found = {entity.key_of(row): entity.title_of(row) for row in rows}
    names = [(found.get(key, entity.name), key) for key in keys]
    return [title if f" {title}".endswith(f" {key}") else f"{title} ({key})" for title, key in names]


async def restore(visit: Visit, entity: Entity, key: str) -> Response:
    """Put a deleted row back."""
    answer = await visit.api.call("POST", f"{entity.row_path(key)}/restore")
    if answer.is_success:
        return _to_row(visit, entity, key, notice="restored")
    raise ApiError(answer)


async def take_step(visit: Visit, entity: Entity, key: str, name: str) -> Response:
    """Take a step of a row, if it is still the one that was shown.

    Raises:
        NotFoundError: the entity has no such step.
    """
    if name not in [step.name for step in entity.resource.steps]:
        raise NotFoundError
    headers = {"idempotency-key": secrets.token_urlsafe(), **_if_match(visit.text("tag"))}
    answer = await visit.api.call("POST", f"{entity.row_path(key)}/{name}", headers=headers)
    if answer.is_success:
        return _to_row(visit, entity, key, notice="taken")
    return await _row_page(visit, entity, key, answer)


def _require(visit: Visit, entity: Entity, operation: str) -> None:
    """Require an operation that exists and that the caller may use.

    Raises:
        NotFoundError, PermissionDeniedError: 404 or 403.
    """
    if not entity.has(operation):
        raise NotFoundError
    entity.resource.write.check(visit.caller)


async def _stored(visit: Visit, entity: Entity, key: str) -> tuple[Row, str]:
    """Return a row and its entity tag.

    Raises:
        NotFoundError: 404.
    """
    row, tag = await read_row(visit, entity, key)
    if row is None:
        raise NotFoundError
    return row, tag


def _if_match(tag: str) -> dict[str, str]:
    return {"if-match": tag} if tag else {}


def _add(form: Form, answer: Answer) -> None:
    """Put the errors of an answer into the form.

    Raises:
        ApiError: the user cannot correct it in the form.
    """
    if answer.status not in AT_THE_FORM:
        raise ApiError(answer)
    form.add_problem(answer.problem())


def _faults_of(answer: Answer, titles: Sequence[str]) -> list[str]:
    """Return the errors of a batch, each with the name of its row."""
    names = dict(enumerate(titles))
    errors = answer.problem().get("errors") or ()
    # An error of the whole batch has the location ["body"].
    found = [([names[at] for at in error["loc"] if at in names], error["msg"]) for error in errors]
    return [": ".join([*name, message]) for name, message in found] or [_detail(answer)]


def _detail(answer: Answer) -> str:
    return str(answer.problem().get("detail"))


def _to_row(visit: Visit, entity: Entity, key: str, *, notice: str) -> Response:
    """Return a redirect to a row, or to the list of an entity whose rows have no page."""
    url = visit.row_url(entity, key) if entity.allows(visit.caller, "get") else visit.list_url(entity)
    return visit.redirect(url, notice=notice)


async def _row_page(visit: Visit, entity: Entity, key: str, answer: Answer) -> Response:
    """Return the page of a row as it is now, with the error of the answer.

    Raises:
        ApiError, NotFoundError: the error is not about the row, or it does not exist any more.
    """
    if answer.status not in (*AT_THE_FORM, PreconditionFailedError.status):
        raise ApiError(answer)
    context = await context_of(visit, entity, *await _stored(visit, entity, key))
    return visit.render("row.html", **context, faults=[_detail(answer)])


async def _form_page(visit: Visit, form: Form, *, key: str, repeat: str = "") -> Response:
    """Return the page of a form. `key` is that of a stored row; `repeat` makes a form create one row only."""
    entity = form.entity
    await _name_references(visit, form)
    action = visit.row_url(entity, key, "edit") if key else visit.url(entity.slug, "new")
    back = visit.row_url(entity, key) if key else visit.list_url(entity)
    return visit.render("form.html", entity=entity, form=form, key=key, repeat=repeat, action=action, back=back)


async def _name_references(visit: Visit, form: Form) -> None:
    """Find out what the rows are called that the form refers to, where nothing said so yet."""
    for one in form.inputs:
        if one.reference is not None and one.text and not one.hint:
            query = urlencode({one.reference.equals(one.remote): one.text, "size": 1})
            answer = await visit.api.call("GET", one.reference.api_path, query=query)
            rows = answer.json()["items"] if answer.is_success else []
            one.hint = one.reference.title_of(rows[0]) if rows else ""
