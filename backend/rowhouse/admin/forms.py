"""The form of a row: the texts that it shows, the JSON that it sends, and the errors at its fields.

A form for a change remembers the texts that it began with. Only texts that differ are sent, so that nobody overwrites
what they did not touch. Must not call the API.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rowhouse.admin.entity import Entity, Row
from rowhouse.admin.fields import MISSING, NULL, Field, Kind, TextError
from rowhouse.admin.visit import Visit

# The names of inputs: a value, the value that the form began with, and the box for null beside a text.
EMPTY = '""'
VALUE, BEFORE, IS_NULL = "value.", "before.", "null."


@dataclass(slots=True)
class Input:
    """One input: its field, its text (None for null beside a text), and what stands at it."""

    field: Field
    text: str | None
    before: str | None = None
    reference: Entity | None = None
    remote: str = ""
    hint: str = ""
    fault: str = ""
    # The text that somebody else has stored meanwhile.
    present: str | None = None

    @property
    def name(self) -> str:
        """The name of the input."""
        return f"{VALUE}{self.field.name}"

    def add_fault(self, error: Mapping[str, Any]) -> None:
        """Add an error of the API. Of a document or of owned rows it names the place within."""
        inner = error["loc"][error["loc"].index(self.field.name) + 1 :]
        place = ".".join(map(str, inner)) if self.field.kind is Kind.DOCUMENT else ""
        message = f"{place}: {error['msg']}" if place else str(error["msg"])
        self.fault = f"{self.fault}; {message}" if self.fault else message


@dataclass(slots=True)
class Form:
    """The inputs of a row. `faults` belong to no input."""

    entity: Entity
    inputs: list[Input]
    tag: str = ""
    faults: list[str] = field(default_factory=list)
    # True if somebody else has changed the row meanwhile.
    is_stale: bool = False

    @property
    def has_faults(self) -> bool:
        """Whether anything is wrong."""
        return bool(self.faults) or any(one.fault for one in self.inputs)

    def add_problem(self, problem: Mapping[str, Any]) -> None:
        """Put the errors of the API at their fields."""
        at = {one.field.name: one for one in self.inputs}
        errors = problem.get("errors") or []
        for error in errors:
            name = next((part for part in error["loc"] if part in at), None)
            if name is not None:
                at[name].add_fault(error)
            else:
                place = ".".join(str(part) for part in error["loc"][1:])
                self.faults.append(f"{place}: {error['msg']}" if place else str(error["msg"]))
        if not errors:
            name = self.entity.faulty_field(problem)
            if name in at:
                at[name].fault = str(problem["detail"])
            else:
                self.faults.append(str(problem.get("detail")))


def new_form(visit: Visit, entity: Entity, given: Mapping[str, str]) -> Form:
    """Return the form of a new row: with the defaults of the entity, and what the address gives."""
    texts = {name: given.get(name, _default(visit, one)) for name, one in entity.create_fields.items()}
    return Form(entity, [_input(entity, one, texts[name]) for name, one in entity.create_fields.items()])


def _default(visit: Visit, one: Field) -> str | None:
    if one.default == MISSING:
        return ""
    return None if one.default is None and one.can_be_empty else one.text(one.default, visit.zone)


def edit_form(visit: Visit, entity: Entity, row: Row, tag: str) -> Form:
    """Return the form of a stored row."""
    inputs = []
    for name, one in entity.update_fields.items():
        text = stored_text(visit, one, row.get(name))
        found = _input(entity, one, text)
        found.before, found.hint = text, _name_of_reference(visit, entity, row, name)
        inputs.append(found)
    return Form(entity, inputs, tag)


def sent_form(visit: Visit, entity: Entity, fields: Iterable[Field]) -> Form:
    """Return the form as the browser has sent it."""
    inputs = []
    for one in fields:
        found = _input(entity, one, _sent_text(visit, one))
        if f"{BEFORE}{one.name}" in visit.form or one.can_be_empty:
            found.before = visit.text(f"{BEFORE}{one.name}") if f"{BEFORE}{one.name}" in visit.form else None
        inputs.append(found)
    return Form(entity, inputs, visit.text("tag"))


def _sent_text(visit: Visit, one: Field) -> str | None:
    text = visit.text(f"{VALUE}{one.name}")
    return None if one.can_be_empty and not text and f"{IS_NULL}{one.name}" in visit.form else text


def _input(entity: Entity, one: Field, text: str | None) -> Input:
    reference, remote = entity.references.get(one.name, (None, ""))
    return Input(one, text, reference=reference, remote=remote)


def stored_text(visit: Visit, one: Field, value: Any) -> str | None:
    """Return the text of a stored value; None for null where the empty text is another value."""
    return None if value is None and one.can_be_empty else one.text(value, visit.zone)


def _name_of_reference(visit: Visit, entity: Entity, row: Row, name: str) -> str:
    """Return the name of the row that a column refers to, if the response has it."""
    for relation in entity.expanded(visit.caller):
        if relation.local == name and row.get(relation.name):
            return entity.references[name][0].title_of(row[relation.name])
    return ""


def body_of(visit: Visit, form: Form, *, is_new: bool) -> str:
    """Return the JSON body of a form: of a new row all values, of a change those that differ.

    A text that cannot be sent is a fault of its input. An empty input of a new row is left out where that means the
    default, or that the API says it is required.
    """
    members = []
    for one in form.inputs:
        if is_new or one.text != one.before:
            try:
                token = _token(visit, one, is_new=is_new)
            except TextError as error:
                one.fault = str(error)
            else:
                if token is not None:
                    members.append(f'"{one.field.name}":{token}')
    return "{" + ",".join(members) + "}"


def _token(visit: Visit, one: Input, *, is_new: bool) -> str | None:
    if one.text:
        return one.field.token(one.text, visit.zone)
    if one.text is None:
        return NULL
    is_missing = is_new and one.field.required and not one.field.nullable
    if one.field.kind is Kind.TEXT and not is_missing:
        return EMPTY
    keeps_default = is_new and (one.field.default == MISSING or not one.field.nullable)
    return None if keeps_default else NULL


def merge(visit: Visit, form: Form, row: Row, tag: str) -> bool:
    """Bring a form up to date: take over what somebody else has stored, and keep what was typed.

    An input that both have changed keeps its text and shows the other one. Return True if anything was different.
    """
    form.tag = tag
    for one in form.inputs:
        present = stored_text(visit, one.field, row.get(one.field.name))
        if present != one.before:
            one.present = "" if present is None else present
            if one.text == one.before:
                one.text = present
        one.before = present
    form.is_stale = any(one.present is not None for one in form.inputs)
    return form.is_stale
