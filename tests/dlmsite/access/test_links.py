"""One-time links: what they let in, how often, and what they leave behind."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from dlmsite.access.links import InvalidUsername, consume_link, hash_token, issue_link
from dlmsite.access.models import LoginLink
from dlmsite.access.roles import Role, can_operate, can_view

pytestmark = pytest.mark.django_db

LINK = re.compile(r"^/login/([A-Za-z0-9_-]{40,})/$")


def token_of(path: str) -> str:
    match = LINK.match(path)
    assert match, path
    return match.group(1)


def is_logged_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_opening_a_link_does_not_use_it_up(client: Client) -> None:
    """Chat programs and mail scanners open links to preview them."""
    path = issue_link("ada", Role.OPERATOR)
    for _preview in range(3):
        page = client.get(path)
        assert page.status_code == 200
        assert b"Log in as ada" in page.content
        assert not is_logged_in(client)
    assert client.post(path).status_code == 302
    assert is_logged_in(client)


def test_a_link_works_once(client: Client) -> None:
    path = issue_link("ada", Role.VIEWER)
    assert client.post(path)["Location"] == "/"
    second = Client()
    for answer in (second.get(path), second.post(path)):
        assert answer.status_code == 410
        assert b"manage.py invite" in answer.content
    assert not is_logged_in(second)


def test_of_two_that_use_a_link_at_once_one_wins() -> None:
    """Both may have seen the confirmation page: the UPDATE decides, not the look before it."""
    token = token_of(issue_link("ada", Role.VIEWER))
    assert [consume_link(token) is not None for _try in range(2)] == [True, False]


def test_an_expired_link_says_how_to_get_another(client: Client) -> None:
    path = issue_link("ada", Role.VIEWER)
    LoginLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert client.get(path).status_code == 410
    assert b"manage.py invite" in client.post(path).content
    assert not is_logged_in(client)


def test_the_first_operators_link_does_not_expire() -> None:
    path = issue_link("ada", Role.OPERATOR, ttl=None)
    assert LoginLink.objects.get().expires_at is None
    assert consume_link(token_of(path)) is not None


@pytest.mark.parametrize("token", ["x", "A" * 43, "A" * 5000, "%00", "ü"])
def test_an_invented_link_is_refused_like_a_used_one(client: Client, token: str) -> None:
    """A different answer would tell which links exist."""
    issue_link("ada", Role.OPERATOR)
    assert client.get(f"/login/{token}/").status_code == 410
    assert client.post(f"/login/{token}/").status_code == 410


def test_a_new_link_makes_the_former_one_useless(client: Client) -> None:
    """Otherwise forgotten links would pile up, each a key to the door."""
    old, new = issue_link("ada", Role.VIEWER), issue_link("ada", Role.VIEWER)
    assert client.get(old).status_code == 410
    assert client.get(new).status_code == 200
    assert LoginLink.objects.count() == 1


def test_only_a_hash_of_the_token_is_stored() -> None:
    token = token_of(issue_link("ada", Role.OPERATOR))
    (row,) = LoginLink.objects.values()
    assert row["token_hash"] == hash_token(token)
    assert token not in str(row)


def test_a_link_is_no_key_for_somebody_who_was_locked_out(client: Client) -> None:
    path = issue_link("ada", Role.OPERATOR)
    User.objects.update(is_active=False)
    assert client.post(path).status_code == 410
    assert not is_logged_in(client)


def test_logging_in_changes_the_session_key(client: Client) -> None:
    """A session key that somebody planted beforehand must not become a logged-in one."""
    session = client.session
    session["planted"] = True
    session.save()
    planted_key = session.session_key
    client.cookies["lockring_8000_session"] = str(planted_key)
    client.post(issue_link("ada", Role.VIEWER))
    assert client.session.session_key != planted_key
    assert "planted" not in client.session


def test_a_link_replaces_whoever_was_logged_in(client: Client) -> None:
    client.post(issue_link("ada", Role.OPERATOR))
    client.post(issue_link("bob", Role.VIEWER))
    assert client.session["_auth_user_id"] == str(User.objects.get(username="bob").pk)


def test_the_post_of_a_link_needs_the_csrf_token() -> None:
    """Otherwise a foreign page could log a visitor in as somebody else."""
    path = issue_link("ada", Role.VIEWER)
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post(path)
    assert answer.status_code == 403
    assert b"Load the page again" in answer.content
    assert LoginLink.objects.get().used_at is None


def test_the_latest_invitation_decides_the_role() -> None:
    issue_link("ada", Role.OPERATOR)
    assert can_operate(User.objects.get())
    issue_link("ada", Role.VIEWER)
    assert can_view(User.objects.get())
    assert not can_operate(User.objects.get())


@pytest.mark.parametrize("name", ["", "a b", "x" * 151, "a\nb", "<b>"])
def test_an_odd_name_is_refused_and_nobody_is_made(name: str) -> None:
    with pytest.raises(InvalidUsername):
        issue_link(name, Role.VIEWER)
    assert not User.objects.exists()


def test_a_page_with_a_link_in_its_address_is_not_cached(client: Client) -> None:
    answer = client.get(issue_link("ada", Role.VIEWER))
    assert "no-store" in answer["Cache-Control"]
    assert answer["Referrer-Policy"] == "same-origin"
