"""The admin: for superusers alone, with no way in of its own, and history that nobody can change there."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from dlmsite import adminsite
from dlmsite.access import tokens
from dlmsite.access.models import ApiToken
from dlmsite.access.roles import Role, give_role
from dlmsite.access.tokens import Scope
from dlmsite.journal.models import LockEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def event(number: int) -> LockEvent:
    return LockEvent(source="a:1", incarnation=1, number=number, wall_ns=number, kind="granted", key=f"k{number}")


def test_an_invitation_lets_nobody_into_the_admin() -> None:
    user = User.objects.create_user("ada")
    give_role(user, Role.OPERATOR)
    client = Client()
    client.force_login(user)
    assert client.get("/admin/", follow=True).status_code == 403
    user.is_staff = True
    user.save()
    assert client.get("/admin/", follow=True).status_code == 403, "staff alone is not enough"


def test_there_is_no_second_login_without_a_bound_on_tries() -> None:
    response = Client().post("/admin/login/", {"username": "root", "password": "x"})
    assert response.status_code == 302
    assert response["Location"].startswith("/login/")


def test_a_superuser_who_logs_in_by_password_arrives_at_the_tables() -> None:
    User.objects.create_superuser("root", password="correct horse")
    client = Client()
    asked = client.get("/admin/", follow=True)
    path = asked.redirect_chain[-1][0]
    assert path.startswith("/login/?next=/admin/")
    arrived = client.post(path, {"username": "root", "password": "correct horse"}, follow=True)
    assert (arrived.status_code, arrived.request["PATH_INFO"]) == (200, "/admin/")
    assert client.get("/admin/login/", follow=True).request["PATH_INFO"] == "/admin/"


def test_no_token_opens_the_admin() -> None:
    token = tokens.create("ci", Scope.OPERATE)
    assert Client().get("/admin/", headers={"Authorization": f"Bearer {token}"}).status_code == 302


def test_every_table_has_its_pages(root: Client) -> None:
    LockEvent.objects.create(source="a:1", incarnation=1, number=1, wall_ns=1, kind="granted", key="k")
    tokens.create("ci", Scope.READ)
    assert root.get("/admin/").status_code == 200
    for model in adminsite.site._registry:
        meta = model._meta
        page = root.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist"))
        assert page.status_code == 200, meta
        row = model._default_manager.first()
        if row is not None:
            found = root.get(reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk]))
            assert found.status_code == 200, meta


def test_history_is_not_changed_not_even_by_a_superuser(root: Client) -> None:
    row = LockEvent.objects.create(source="a:1", incarnation=1, number=1, wall_ns=1, kind="granted", key="k")
    for what in ("change", "delete"):
        path = reverse(f"admin:journal_lockevent_{what}", args=[row.pk])
        assert root.post(path, {"key": "another", "post": "yes"}).status_code == 403
    assert root.post(reverse("admin:journal_lockevent_add"), {"key": "k"}).status_code == 403
    assert LockEvent.objects.get().key == "k"


def test_a_hash_of_a_token_is_not_shown(root: Client) -> None:
    tokens.create("ci", Scope.READ)
    row = ApiToken.objects.get()
    listed = root.get(reverse("admin:access_apitoken_changelist")).content.decode()
    shown = root.get(reverse("admin:access_apitoken_change", args=[row.pk])).content.decode()
    assert "ci" in listed
    assert row.token_hash not in listed + shown


def test_a_list_reads_no_more_than_its_first_rows(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting ten million rows takes seconds, for a number that nobody needs."""
    monkeypatch.setattr(adminsite, "ROWS_MAX", 60)
    LockEvent.objects.bulk_create(event(number) for number in range(1, 100))
    page = root.get(reverse("admin:journal_lockevent_changelist"))
    assert page.context["cl"].result_count == 60
    assert root.get(reverse("admin:journal_lockevent_changelist"), {"p": 2}).status_code == 200


def test_its_pages_obey_the_policy(root: Client) -> None:
    """No inline script or style: the policy would stop it."""
    LockEvent.objects.create(source="a:1", incarnation=1, number=1, wall_ns=1, kind="granted", key="<b>k</b>")
    for path in ("/admin/", reverse("admin:journal_lockevent_changelist"), reverse("admin:auth_user_add")):
        page = root.get(path)
        assert "unsafe" not in page["Content-Security-Policy"]
        text = page.content.decode()
        assert "<b>k</b>" not in text
        assert re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", text) == []
        for file in re.findall(r'(?:src|href)="(/static/[^"]+)"', text):
            assert root.get(file).status_code == 200, file
