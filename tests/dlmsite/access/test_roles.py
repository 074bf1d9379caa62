"""Roles: what a visitor, a viewer and an operator may."""

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User

from dlmsite.access.roles import Role, can_operate, can_view, ensure_roles, give_role

pytestmark = pytest.mark.django_db


def test_anonymous_visitors_may_nothing() -> None:
    assert not can_view(AnonymousUser())
    assert not can_operate(AnonymousUser())


def test_somebody_without_a_role_may_nothing() -> None:
    """An account alone is no invitation."""
    user = User.objects.create_user("eve")
    assert not can_view(user)
    assert not can_operate(user)


@pytest.mark.parametrize(("role", "operates"), [(Role.VIEWER, False), (Role.OPERATOR, True)])
def test_only_operators_act(role: Role, operates: bool) -> None:  # noqa: FBT001
    user = User.objects.create_user("ada")
    give_role(user, role)
    assert can_view(user)
    assert can_operate(user) is operates


def test_an_inactive_operator_may_nothing() -> None:
    user = User.objects.create_user("ada", is_active=False)
    give_role(user, Role.OPERATOR)
    assert not can_view(user)
    assert not can_operate(user)


def test_giving_a_role_leaves_other_groups_alone() -> None:
    user = User.objects.create_user("ada")
    user.groups.add(Group.objects.create(name="on call"))
    give_role(user, Role.OPERATOR)
    give_role(user, Role.VIEWER)
    assert sorted(user.groups.values_list("name", flat=True)) == ["on call", "viewer"]


def test_the_roles_are_there_after_migrating() -> None:
    """A fresh installation needs no further step."""
    assert set(Group.objects.values_list("name", flat=True)) >= {"viewer", "operator"}
    ensure_roles()
    assert Group.objects.filter(name__in=["viewer", "operator"]).count() == 2
