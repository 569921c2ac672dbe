"""Adds accounts to a registry: sign-up, login, one's own account, and the administration of users.

Example:
    include_accounts(registry, roles=("driver",), sign_up=("user", "driver"))
"""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, ClassVar

from rowhouse.auth.models import ADMIN, ADMINISTRATOR, USER, User
from rowhouse.auth.routes import account_routes, auth, sign_up_schema
from rowhouse.crud.base import CRUDBase
from rowhouse.registration.line import with_known_options
from rowhouse.registration.registry import Registry, public_schema
from rowhouse.schemas.columns import RegistrationError

ADMINISTRATION = ("list", "get", "update", "put", "delete")
# `User.role` holds at most 32 characters.
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


@with_known_options
def include_accounts(
    registry: Registry,
    *,
    roles: Iterable[str] = (),
    sign_up: Sequence[str] = (USER,),
    operations: Iterable[str] = ADMINISTRATION,
    exact_count_limit: int | None = 10_000,
) -> None:
    """Add `/auth/*` and `/users/*` to a registry, and declare the roles of the project.

    Example:
        include_accounts(registry, roles=("driver",), sign_up=("user", "driver"))

    Every project has the roles `user` and `admin`; `roles` adds to them. `sign_up` names the roles that a client may
    choose at sign-up. The first is the default. `operations` are those of administrators on `/users`; without any,
    `/users` is sign-up and one's own account only. `exact_count_limit` is that of `Registry.register`.

    Raises:
        RegistrationError: at start-up, for a role that is no name, or one that clients must not choose.
    """
    names = tuple(dict.fromkeys((USER, *roles, ADMINISTRATOR)))
    _check(names, tuple(sign_up))
    # Members are numbered: "on-call" and "on_call" are two roles, and would be one Python name.
    members = {f"ROLE_{number}": name for number, name in enumerate(names)}
    role_type: Any = StrEnum("Role", members)  # type: ignore[misc]  # known at run time

    class UserCRUD(CRUDBase[User]):
        """Accounts, with one of the project's roles."""

        column_types: ClassVar = {"role": role_type}

    registry.declare_roles(names)
    registry.include(auth)
    chosen = tuple(operations)
    if chosen:
        registry.register(
            User,
            read=ADMIN,
            write=ADMIN,
            search=("email", "full_name"),
            exact_count_limit=exact_count_limit,
            operations=chosen,
            crud=UserCRUD,
        )
    public = public_schema(User, crud=UserCRUD)
    registry.include(account_routes(public, sign_up_schema(tuple(sign_up))))


def _check(names: Sequence[str], sign_up: Sequence[str]) -> None:
    for name in names:
        if not NAME.fullmatch(name):
            raise RegistrationError(
                f"include_accounts: role {name!r} is not a role name; "
                "use up to 32 lower-case letters, digits, - and _, such as 'driver'"
            )
    if not sign_up or ADMINISTRATOR in sign_up or set(sign_up) - set(names):
        raise RegistrationError(
            f"include_accounts: sign_up={tuple(sign_up)!r} must name roles of "
            f"{', '.join(sorted(set(names) - {ADMINISTRATOR}))}"
        )
