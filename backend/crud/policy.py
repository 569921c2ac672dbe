"""The words of a registration line that say who may read and who may write. They are `backend.core.policy`'s."""

from backend.core.policy import ANYONE, SIGNED_IN, Policy, role

__all__ = ["ANYONE", "SIGNED_IN", "Policy", "role"]
