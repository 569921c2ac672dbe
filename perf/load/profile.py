"""What a load run must know about an API beyond its OpenAPI document.

Most APIs need none of it: an empty `Profile` calls every operation with valid requests. A profile adds rules that a
schema cannot express, such as "an order needs an item in the cart". Labels that an API does not have are ignored.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module

from perf import product

# The environment variable that names the profile to the processes of a run.
VARIABLE = "LOAD_PROFILE"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The rules of one API. Operations are labels such as `POST /orders/{id}/ship`.

    - `title` and `factory` are the name of the API, and what uvicorn serves by default.
    - `admin_email` and `admin_password` are the administrator of a development server, if ADMIN_EMAIL and
      ADMIN_PASSWORD are not set.
    - `populate(database_url, rows)` fills an empty, migrated PostgreSQL before the load.
    - `steps_before` lists the operations that must be called before one, on the same row. The steps of a registration
      line are found from the document.
    - `starting_soon` are the operations that take a row whose time begins in the next minutes.
    - `consumed` maps an operation to the collection whose rows it deletes.
    - `expected_conflicts` maps the code of a 409 to the age of the row, in seconds, from which it is a valid response.
    - `amounts` are the values of integer members, so that no request runs out of what another one takes.
    """

    title: str = "The API"
    factory: str = ""
    admin_email: str = ""
    admin_password: str = ""
    populate: Callable[[str, int], None] | None = None
    steps_before: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    starting_soon: frozenset[str] = frozenset()
    consumed: Mapping[str, str] = field(default_factory=dict)
    expected_conflicts: Mapping[str, float] = field(default_factory=dict)
    amounts: Mapping[str, int] = field(default_factory=dict)


def default_name() -> str:
    """Return the name of the product's profile; empty in a checkout without a product."""
    return f"{product.PACKAGE}.profile:PROFILE" if product.is_there() else ""


def load_profile(name: str | None = None) -> Profile:
    """Import a profile by its name, `module:attribute`. Without a name it is that of LOAD_PROFILE, or the default.

    Raises:
        ValueError: the name stands for no profile.
    """
    chosen = os.environ.get(VARIABLE, default_name()) if name is None else name
    if not chosen:
        return Profile()
    module, _, attribute = chosen.partition(":")
    found = getattr(import_module(module), attribute, None) if attribute else None
    if not isinstance(found, Profile):
        message = f"{chosen!r} is no profile: give module:attribute, such as perf.app.profile:PROFILE"
        raise ValueError(message)  # noqa: TRY004  the caller gave a wrong name, not a wrong type
    return found
