"""The login page: passwords, the bound on tries, and leaving."""

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from dlmsite.access import throttle

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", password=PASSWORD)


def log_in(client: Client, password: str, name: str = "ada", **extra: str) -> int:
    return client.post("/login/", {"username": name, "password": password, **extra}).status_code


@pytest.mark.usefixtures("ada")
def test_the_right_password_lets_in_and_leaving_needs_a_post(client: Client) -> None:
    assert log_in(client, PASSWORD) == 302
    assert client.get("/logout/").status_code == 405
    assert "_auth_user_id" in client.session
    assert client.post("/logout/")["Location"] == "/login/"
    assert "_auth_user_id" not in client.session


@pytest.mark.usefixtures("ada")
def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(client: Client) -> None:
    """The page does not tell who has an account."""
    wrong = client.post("/login/", {"username": "ada", "password": "x"})
    unknown = client.post("/login/", {"username": "eve", "password": "x"})
    assert wrong.status_code == unknown.status_code == 200
    marker = b'role="alert"'
    assert marker in wrong.content
    assert marker in unknown.content
    assert "_auth_user_id" not in client.session


@pytest.mark.usefixtures("ada")
def test_after_too_many_tries_even_the_right_password_waits(client: Client) -> None:
    for _try in range(throttle.TRIES_PER_NAME):
        assert log_in(client, "wrong") == 200
    answer = client.post("/login/", {"username": "ADA", "password": PASSWORD})
    assert answer.status_code == 429
    assert answer["Retry-After"] == str(throttle.WINDOW_S)
    assert b"Wait 5 minutes" in answer.content
    cache.clear()  # as when the window ends
    assert log_in(client, PASSWORD) == 302


def test_trying_many_names_from_one_address_is_bounded_too(client: Client) -> None:
    statuses = [log_in(client, "x", name=f"name{number}") for number in range(throttle.TRIES_PER_ADDRESS + 1)]
    assert statuses == [200] * throttle.TRIES_PER_ADDRESS + [429]


@pytest.mark.usefixtures("ada")
def test_a_success_forgets_the_tries_before_it(client: Client) -> None:
    for _round in range(2):
        for _try in range(throttle.TRIES_PER_NAME - 1):
            assert log_in(client, "wrong") == 200
        assert log_in(client, PASSWORD) == 302
        client.post("/logout/")


@pytest.mark.usefixtures("ada")
def test_the_way_back_after_login_stays_on_this_site(client: Client) -> None:
    """An open redirect would lend our name to somebody's phishing page."""
    answer = client.post("/login/", {"username": "ada", "password": PASSWORD, "next": "https://evil.example/"})
    assert answer["Location"] == "/"


def test_a_user_who_came_by_link_has_no_password_to_guess(client: Client) -> None:
    user = User(username="ada")
    user.set_unusable_password()
    user.save()
    assert log_in(client, "") == 200
    assert log_in(client, user.password) == 200
    assert "_auth_user_id" not in client.session
