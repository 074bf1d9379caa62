"""Below /api/ everything that goes wrong is a problem; elsewhere a page. Nothing shows how the site is made."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dlmsite.access.roles import Role, give_role
from dlmsite.dashboard import picture

pytestmark = pytest.mark.django_db

PROBLEM = "application/problem+json"


@pytest.fixture
def ada() -> User:
    user = User.objects.create_user("ada")
    give_role(user, Role.OPERATOR)
    return user


@pytest.fixture
def browser(ada: User) -> Callable[..., Client]:
    def make(*, csrf: bool = False) -> Client:
        client = Client(raise_request_exception=False, enforce_csrf_checks=csrf)
        client.force_login(ada)
        return client

    return make


def test_an_address_that_leads_nowhere_says_where_those_are_that_lead_somewhere(browser: Callable[..., Client]) -> None:
    response = browser().get("/api/nothing/")
    assert (response.status_code, response["Content-Type"]) == (404, PROBLEM)
    assert "/api/openapi.json" in response.json()["detail"]
    assert browser().get("/nothing/")["Content-Type"].startswith("text/html")


def test_an_exception_is_told_without_what_it_was(
    browser: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("/secret/place")

    monkeypatch.setattr(picture, "snapshot", broken)
    response = browser().get("/api/snapshot/")
    assert (response.status_code, response["Content-Type"]) == (500, PROBLEM)
    assert "secret" not in response.content.decode()


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
@pytest.mark.parametrize("csrf", [True, False])
def test_too_large_a_body_is_refused_wherever_it_is_read_first(
    browser: Callable[..., Client], kind: str, *, csrf: bool
) -> None:
    """Of a form, Django's CSRF check reads the body before any view."""
    client = browser(csrf=csrf)
    response = client.post("/api/workload/", b"on=" + b"x" * 70_000, content_type=kind)
    assert response["Content-Type"] == PROBLEM
    expected = (403, 413) if csrf else (413, 400)
    assert response.status_code in expected


def test_a_post_without_the_pages_token_is_a_problem(browser: Callable[..., Client]) -> None:
    response = browser(csrf=True).post("/api/nodes/")
    assert (response.status_code, response["Content-Type"]) == (403, PROBLEM)
    assert response.json()["type"] == "urn:problem-type:lockring:not-from-this-page"


def test_a_foreign_host_name_is_a_problem(browser: Callable[..., Client]) -> None:
    response = browser().get("/api/events/", headers={"host": "evil.example"})
    assert (response.status_code, response["Content-Type"]) == (400, PROBLEM)
