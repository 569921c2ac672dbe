"""Entity tags of rows (RFC 9110 §8.8.3)."""

import hashlib
import zlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial

from pydantic_core import SchemaSerializer

from rowhouse.db.compiled import Row
from rowhouse.query.resource import Resource

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def tag_maker(resource: Resource, *, computed: Iterable[str] = ()) -> Callable[[Row], str]:
    """Return the function that makes the entity tag of a row."""
    if resource.updated is None or resource.columns[resource.updated].nullable:
        return partial(content_tag, names=resource.schemas.public_names, serializer=resource.schemas.row_serializer)
    return partial(version_tag, updated=resource.updated, computed=tuple(computed))


def content_tag(row: Row, *, names: Iterable[str], serializer: SchemaSerializer) -> str:
    """Return the entity tag of a row from its public values."""
    content = serializer.to_json({name: row[name] for name in names}, warnings=False)
    return f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'


def version_tag(row: Row, *, updated: str = "updated_at", computed: Iterable[str] = ()) -> str:
    """Return the entity tag of a row: the microsecond of its last change, and a digest of each column in `computed`."""
    digests = "".join(f"-{zlib.crc32(str(row[name]).encode()):x}" for name in computed)
    changed = row[updated]
    if isinstance(changed, str):  # of another program (decision 0058)
        return f'"t{hashlib.blake2b(changed.encode(), digest_size=8).hexdigest()}{digests}"'
    return f'"{(changed - EPOCH) // timedelta(microseconds=1):x}{digests}"'
