"""Policies: who may read and who may write an entity, or call a hand-written route.

A policy looks at the caller's role only. Which rows a caller sees is `CRUDBase.scope`.
"""

from dataclasses import dataclass

from rowhouse.core.errors import NotAuthenticatedError, PermissionDeniedError
from rowhouse.core.security import Caller


@dataclass(frozen=True, slots=True)
class Policy:
    """A condition on the caller. Use `ANYONE`, `SIGNED_IN` or `role(...)`; they return one.

    Example:
        STAFF: Policy = role("staff", "admin")
        STAFF.check(unit.caller)

    `roles=None` requires any account; `anyone=True` requires nothing.
    """

    name: str
    roles: frozenset[str] | None = None
    anyone: bool = False

    def allows(self, caller: Caller | None) -> bool:
        """Return True if the caller satisfies the policy."""
        if self.anyone:
            return True
        return caller is not None and (self.roles is None or caller.role in self.roles)

    def includes(self, other: "Policy") -> bool:
        """Return True if the policy allows every caller whom the other allows."""
        if self.anyone or other.anyone:
            return self.anyone
        return self.roles is None or (other.roles is not None and other.roles <= self.roles)

    def check(self, caller: Caller | None) -> None:
        """Require that the caller satisfies the policy.

        Raises:
            NotAuthenticatedError: 401 when nobody is signed in and somebody must be.
            PermissionDeniedError: 403 when the account has none of the roles.
        """
        if self.anyone:
            return
        if caller is None:
            raise NotAuthenticatedError
        if self.roles is not None and caller.role not in self.roles:
            raise PermissionDeniedError(f"Requires the role {' or '.join(sorted(self.roles))}.")


ANYONE = Policy("anyone", anyone=True)
"""Everybody, without an account.

Example:
    registry.register(Book, read=ANYONE, write=ADMIN)
"""
SIGNED_IN = Policy("signed in")
"""Every account, whatever its role.

Example:
    registry.register(Note, read=SIGNED_IN, write=SIGNED_IN)
"""


def admitting(own: Policy, write: Policy) -> Policy:
    """Return the policy that a step checks before it reads its row.

    It allows callers who may take the step or may write the entity. `own` is the policy of the step.
    """
    if own.anyone:
        return own
    if own.roles is None or write.roles is None:
        return SIGNED_IN
    return write if own.roles <= write.roles else role(*sorted(own.roles | write.roles))


def role(*names: str) -> Policy:
    """Return the policy that requires one of these roles.

    Example:
        registry.register(Invoice, write=role("accountant", "admin"))

    Raises:
        TypeError: at start-up, without a role, or for a value that is not a name.
    """
    given: tuple[object, ...] = names
    if not given or not all(isinstance(name, str) and name for name in given):
        raise TypeError(f"role{names!r}: name the roles, such as role('admin', 'staff')")
    return Policy(" or ".join(names), roles=frozenset(names))
