"""What a load run must know about an API beyond its OpenAPI document.

Most APIs need none of it: an empty `Profile` calls every operation with valid requests. A profile adds rules that a
schema cannot express, such as "an order needs an item in the cart". Labels that an API does not have are ignored, but
for those of `leave_out`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The rules of one API. Operations are labels such as `POST /orders/{id}/ship`.

    - `title` and `factory` are the name of the API, and what uvicorn serves by default.
    - `admin_email` and `admin_password` are the administrator of a development server, if ADMIN_EMAIL and
      ADMIN_PASSWORD are not set.
    - `populate(database_url, rows)` fills an empty, migrated PostgreSQL before the load.
    - `steps_before` lists the operations that must be called before one, on the same row. The steps of a registration
      line are found from the document.
    - `values` are the values that cannot be guessed from the classes, as in the fixture `contract_values`.
    - `starting_soon` are the operations that take a row whose time begins in the next minutes.
    - `consumed` maps an operation to the collection whose rows it deletes.
    - `expected_conflicts` maps the code of a 409 to the age of the row, in seconds, from which it is no failure. The
      engine's own codes, and those of a `NoOverlap`, are known.
    - `amounts` are the values of integer members, so that no request runs out of what another one takes.
    - `leave_out` are the operations that no load can call, each with the reason. The run says what it left out.
    """

    title: str = "The API"
    factory: str = ""
    admin_email: str = ""
    admin_password: str = ""
    populate: Callable[[str, int], None] | None = None
    steps_before: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    starting_soon: frozenset[str] = frozenset()
    consumed: Mapping[str, str] = field(default_factory=dict)
    expected_conflicts: Mapping[str, float] = field(default_factory=dict)
    amounts: Mapping[str, int] = field(default_factory=dict)
    leave_out: Mapping[str, str] = field(default_factory=dict)


def load_profile(name: str) -> Profile:
    """Import a profile by its name, `module:attribute`; an empty name is an empty profile.

    Raises:
        ValueError: the name stands for no profile.
    """
    if not name:
        return Profile()
    module, _, attribute = name.partition(":")
    found = getattr(import_module(module), attribute, None) if attribute else None
    if not isinstance(found, Profile):
        message = f"{name!r} is no profile: give module:attribute, such as perf.app.profile:PROFILE"
        raise ValueError(message)  # noqa: TRY004  the caller gave a wrong name, not a wrong type
    return found
