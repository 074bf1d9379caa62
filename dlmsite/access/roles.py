"""The two roles: a viewer sees everything, an operator may also act.

A role is membership in a group. Someone without a role has been let in by nobody and sees nothing.

Elsewhere: where actions are checked (dlmsite.operations, dlmsite.dashboard), how a role is given (links).
"""

from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from django.contrib.auth.models import AbstractUser, Group


class Role(StrEnum):
    """What somebody may do; the value is the name of the group."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@runtime_checkable
class HasRole(Protocol):
    """Somebody whose role comes from elsewhere than a group: who shows an API token."""

    @property
    def role(self) -> Role: ...  # noqa: D102 - the class says it


def ensure_roles() -> None:
    """Make the groups that are missing."""
    for role in Role:
        Group.objects.get_or_create(name=role.value)


def give_role(user: AbstractUser, role: Role) -> None:
    """Make `role` the one role of `user`; other groups stay."""
    ensure_roles()
    user.groups.remove(*Group.objects.filter(name__in=[other.value for other in Role if other is not role]))
    user.groups.add(Group.objects.get(name=role.value))


def can_view(user: Any) -> bool:
    """Say whether `user` (also an AnonymousUser) may see the cluster."""
    return _has_role(user, [Role.VIEWER, Role.OPERATOR])


def can_operate(user: Any) -> bool:
    """Say whether `user` (also an AnonymousUser) may kill, stop, add and restart."""
    return _has_role(user, [Role.OPERATOR])


def _has_role(user: Any, roles: list[Role]) -> bool:
    if not (user.is_authenticated and user.is_active):
        return False
    if isinstance(user, HasRole):
        return user.role in roles
    return bool(user.is_superuser or user.groups.filter(name__in=[role.value for role in roles]).exists())
