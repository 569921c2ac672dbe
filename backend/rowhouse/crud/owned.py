"""The rows that a row owns, in its own requests: `lines: [{"id": 3, "quantity": 2}, {"quantity": 1}]`.

An entity with such members gets `OwningVerbs` in front of its own class, so that the verbs of other entities stay as
they are. The owned rows go through the verbs of their own entity, with its policy, hooks, scope and history. A hook of
the owner sees the row without these members.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from pydantic import MISSING, BaseModel

from rowhouse.core.errors import ConflictError, InvalidInputError, NotFoundError, RowhouseError, TransactionRetryError
from rowhouse.crud.base import CRUDBase
from rowhouse.crud.batch_errors import SINGLE_ROW, BatchErrors
from rowhouse.crud.related import RelatedRows
from rowhouse.db.compiled import Predicate, Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.query.resource import Resource
from rowhouse.schemas.owned import MAX_OWNED
from rowhouse.sql.statements import ROW_KEY

# How many stored rows one request reads, and how many are written together.
MAX_STORED, CHUNK = 10_000, 1_000
Given = Mapping[str, Sequence[Any]]
# The position of the owner in the batch, and of the element in its member; None for a row that was left out.
Place = tuple[int, int | None]


@dataclass(slots=True)
class Plan:
    """What happens to the owned rows of a request, each with its place."""

    left_out: list[tuple[Place, Any]] = field(default_factory=list)
    changes: list[tuple[Place, tuple[Any, Row]]] = field(default_factory=list)
    new: list[tuple[Place, Row]] = field(default_factory=list)


class OwnedRows:
    """The rows behind one member."""

    def __init__(self, name: str, related: RelatedRows) -> None:
        self.name = name
        # `related` knows the hooks of the entity. They are those of its verbs.
        self.crud = cast("CRUDBase[Any]", related.target)
        self._related = related
        self._local, self._reference = related.relation.local, related.relation.remote
        resource = self.crud.resource
        members = {n: f for n, f in resource.schemas.create.model_fields.items() if n in resource.columns}
        self._keys = tuple(n for n in resource.key.names if n != self._reference)
        self._clients_name_keys = members.keys() >= set(self._keys)
        self._fixed = members.keys() - resource.schemas.update.model_fields.keys() - set(self._keys)
        self._required = [n for n, f in members.items() if f.is_required() and n != self._reference]
        self._defaults = {n: f for n, f in members.items() if not f.is_required() and f.default is not MISSING}

    def check_write(self, unit: UnitOfWork) -> None:
        """Require that the caller may write the owned entity.

        Raises:
            NotAuthenticatedError, PermissionDeniedError: 401 and 403.
        """
        self.crud.resource.write.check(unit.caller)

    def stored(self, unit: UnitOfWork, owners: Sequence[Any]) -> dict[Any, list[Any]]:
        """Return the keys of the owned rows that the caller sees, for each of these keys of owners.

        Raises:
            ConflictError: 409 if there are more than one request can replace, naming the element.
        """
        found: dict[Any, list[Any]] = {owner: [] for owner in owners}
        rows = self._related.read(unit, owners, limit=MAX_STORED + 1)
        for owner, row in rows:
            found[owner].append(self.crud.key_of(row))
        crowded = next((n for n, owner in enumerate(owners) if len(found[owner]) > MAX_OWNED), 0)
        if len(found[owners[crowded]]) > MAX_OWNED or len(rows) > MAX_STORED:
            message = f"There are too many {self.name} for one request; write them at /{self.crud.resource.path}."
            raise ConflictError(message).element_error(crowded)
        return found

    def store(self, unit: UnitOfWork, rows: Sequence[Row], given: Mapping[int, Sequence[Any]], *, is_new: bool) -> None:
        """Replace the owned rows of each owner by the elements at its position. New owners have no owned rows yet."""
        owners = {position: rows[position][self._local] for position in given}
        stored = {} if is_new else self.stored(unit, list(owners.values()))
        plan = Plan()
        for position, elements in given.items():
            self._add(plan, position, elements, owner=owners[position], stored=stored.get(owners[position], []))
        # Delete first: a deleted row may have a unique value of a new one.
        self.delete(unit, plan.left_out)
        for start in range(0, len(plan.changes), CHUNK):
            chunk = plan.changes[start : start + CHUNK]
            changes = [change for _, change in chunk]
            with self._placed([place for place, _ in chunk]), self._repeated_if_gone(unit, [key for key, _ in changes]):
                self.crud.update_many(unit, changes)
        for start in range(0, len(plan.new), CHUNK):
            new = plan.new[start : start + CHUNK]
            with self._placed([place for place, _ in new]):
                self.crud.create_many(unit, [row for _, row in new])

    def delete(self, unit: UnitOfWork, keyed: Sequence[tuple[Place, Any]], *, is_named: bool = True) -> None:
        """Delete owned rows. `is_named` puts the name of the member into errors."""
        for start in range(0, len(keyed), CHUNK):
            chunk = keyed[start : start + CHUNK]
            keys = [key for _, key in chunk]
            with self._placed([place for place, _ in chunk], is_named=is_named), self._repeated_if_gone(unit, keys):
                self.crud.delete_many(unit, keys)

    def _add(self, plan: Plan, position: int, elements: Sequence[Any], *, owner: Any, stored: Sequence[Any]) -> None:
        """Add the elements of one owner to a plan."""
        present, seen = set(stored), set()
        for number, element in enumerate(elements):
            place, values = (position, number), _values_of(element)
            key = self._key(values, owner)
            with self._placed([place]):
                if key is not None and key in present:
                    seen.add(key)
                    changes = {name: value for name, value in values.items() if name not in self._keys}
                    self._refuse_fixed(changes)
                    plan.changes += [(place, (key, changes))] if changes else []
                elif key is None or self._clients_name_keys:
                    plan.new.append((place, self._new(values, owner)))
                else:
                    row, names = self.crud.resource.name, self.crud.resource.key
                    named = f"the {names.label} {names.text(key)}"
                    raise NotFoundError(f"This row has no {row} with {named}.").element_error(0)
        plan.left_out += [((position, None), key) for key in stored if key not in seen]

    def _key(self, values: Row, owner: Any) -> Any:
        """Return the key that an element names, or None."""
        if not all(name in values for name in self._keys):
            return None
        return self.crud.key_of({**values, self._reference: owner})

    def _refuse_fixed(self, changes: Row) -> None:
        for name in changes:
            if name in self._fixed:
                message = "the row exists, and this member cannot be changed; leave it out"
                raise InvalidInputError.at("body", name, message=message, kind="create_only").element_error(0)

    def _new(self, values: Row, owner: Any) -> Row:
        """Return the values of a new owned row, with the defaults of its Create schema."""
        missing = [name for name in self._required if name not in values]
        if missing:
            faults = [{"loc": ["body", name], "msg": "Field required", "type": "missing"} for name in missing]
            raise InvalidInputError(faults).element_error(0)
        defaults = {
            name: member.get_default(call_default_factory=True)
            for name, member in self._defaults.items()
            if name not in values
        }
        return {**defaults, **values, self._reference: owner}

    @contextmanager
    def _placed(self, places: Sequence[Place], *, is_named: bool = True) -> Iterator[None]:
        """Give an error that names one of several owned rows the place of that row in the request."""
        try:
            yield
        except RowhouseError as error:
            if error.element is not None:
                owner, number = places[error.element]
                error.element_error(owner)
                if is_named:
                    error.inside(self.name, *([] if number is None else [number]))
            raise

    @contextmanager
    def _repeated_if_gone(self, unit: UnitOfWork, keys: Sequence[Any]) -> Iterator[None]:
        """Repeat the transaction if another one has deleted an owned row since it was read."""
        try:
            yield
        except NotFoundError as error:
            scope = Predicate(self.crud.scope(unit.caller))
            key = keys[error.element or 0]
            if not unit.run(self.crud.statements.get(scope), {ROW_KEY: key}, scope):
                raise TransactionRetryError from error
            raise


def _values_of(element: Any) -> Row:
    """Return the members of an element that are given. Callers from Python give a dict."""
    members = element.__dict__ if isinstance(element, BaseModel) else element
    return {name: value for name, value in members.items() if value is not MISSING}


class OwningVerbs(CRUDBase[Any]):
    """The verbs of an entity that owns rows of others. `owned` has these rows by the names of the members."""

    owned_members: ClassVar[tuple[str, ...]] = ()

    def __init__(self, resource: Resource, dialect: Any) -> None:
        super().__init__(resource, dialect)
        self.owned: Mapping[str, OwnedRows] = {}

    def connect(self, related: Mapping[str, RelatedRows]) -> None:
        """Keep the relations, and prepare the members that write owned rows."""
        super().connect(related)
        self.owned = {name: OwnedRows(name, related[name]) for name in self.owned_members}

    def create(self, unit: UnitOfWork, values: Mapping[str, Any]) -> Row:
        """Insert a row, and the rows that it owns. See `CRUDBase.create`.

        Raises:
            ConflictError, InvalidInputError: also for an owned row, naming the member and the element.
            NotAuthenticatedError, PermissionDeniedError: 401 and 403 if the caller may not write owned rows.
        """
        own, given = self._split_owned(values, is_new=True)
        if not given:
            return super().create(unit, own)
        self._check_write(unit, [given])
        unit.begin()
        row = super().create(unit, own)
        with SINGLE_ROW:
            self._store(unit, [row], [given], is_new=True)
        return row

    def update(self, unit: UnitOfWork, key: Any, values: Mapping[str, Any]) -> Row:
        """Change a row, and replace the rows that it owns. See `CRUDBase.update`, and `create` for the errors."""
        own, given = self._split_owned(values)
        if not given:
            return super().update(unit, key, own)
        self._check_write(unit, [given])
        unit.begin()
        row = super().update(unit, key, own)
        with SINGLE_ROW:
            self._store(unit, [row], [given], is_new=False)
        return row

    def create_many(self, unit: UnitOfWork, values: Sequence[Mapping[str, Any]]) -> Sequence[Row]:
        """Insert rows, and the rows that they own. See `CRUDBase.create_many`."""
        split = [self._split_owned(one, is_new=True) for one in values]
        own, given = [one for one, _ in split], [owned for _, owned in split]
        if not any(given):
            return super().create_many(unit, own)
        self._check_write(unit, given)
        unit.begin()
        errors, rows = BatchErrors(), list[Row]()
        with errors, unit.savepoint():
            rows += super().create_many(unit, own)
        valid = errors.before(own)
        if len(valid) < len(own):  # an owned row of an earlier element may be at fault too
            rows += super().create_many(unit, valid)
        self._store(unit, rows, given[: len(rows)], is_new=True)
        errors.raise_if_any()
        return rows

    def update_many(self, unit: UnitOfWork, changes: Sequence[tuple[Any, Mapping[str, Any]]]) -> list[Row]:
        """Change rows, and replace the rows that they own. See `CRUDBase.update_many`."""
        split = [self._split_owned(values) for _, values in changes]
        own = [(key, one) for (key, _), (one, _) in zip(changes, split, strict=True)]
        given = [owned for _, owned in split]
        if not any(given):
            return super().update_many(unit, own)
        self._check_write(unit, given)
        unit.begin()
        rows = super().update_many(unit, own)
        self._store(unit, rows, given, is_new=False)
        return rows

    def delete(self, unit: UnitOfWork, key: Any) -> None:
        """Delete a row, and the rows that it owns. See `CRUDBase.delete`."""
        with SINGLE_ROW:
            self._lock_to_delete(unit, [key])
            self._delete_owned(unit, [key])
        super().delete(unit, key)

    def delete_many(self, unit: UnitOfWork, keys: Sequence[Any]) -> None:
        """Delete rows, and the rows that they own. See `CRUDBase.delete_many`."""
        distinct = list(dict.fromkeys(keys))
        self._lock_to_delete(unit, distinct)
        self._delete_owned(unit, distinct)
        super().delete_many(unit, keys)

    def _split_owned(self, values: Mapping[str, Any], *, is_new: bool = False) -> tuple[Row, Given]:
        """Return the row's own values, and its members. An empty one says nothing about a new row."""
        own = {name: value for name, value in values.items() if name not in self.owned}
        return own, {name: values[name] for name in self.owned if name in values and (values[name] or not is_new)}

    def _check_write(self, unit: UnitOfWork, given: Sequence[Given]) -> None:
        for name, owned in self.owned.items():
            if any(name in one for one in given):
                owned.check_write(unit)

    def _store(self, unit: UnitOfWork, rows: Sequence[Row], given: Sequence[Given], *, is_new: bool) -> None:
        for name, owned in self.owned.items():
            asked = {position: one[name] for position, one in enumerate(given) if name in one}
            if asked:
                owned.store(unit, rows, asked, is_new=is_new)

    def _delete_owned(self, unit: UnitOfWork, keys: Sequence[Any]) -> None:
        for owned in self.owned.values():
            stored = owned.stored(unit, keys)
            keyed = [((position, None), one) for position, key in enumerate(keys) for one in stored[key]]
            if keyed:
                owned.check_write(unit)
                owned.delete(unit, keyed, is_named=False)


def with_owned(crud: type[CRUDBase[Any]], members: Sequence[str]) -> type[CRUDBase[Any]]:
    """Return the class for an entity that owns rows; `members` are the relations."""
    if not members:
        return crud
    made: type[CRUDBase[Any]] = type(crud.__name__, (OwningVerbs, crud), {"owned_members": tuple(members)})
    return made
