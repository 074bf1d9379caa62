"""`manage.py invite`: prints a link that works, and clear words where it cannot."""

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from dlmsite.access.roles import can_operate


@pytest.mark.django_db
def test_the_printed_link_logs_in(client: Client) -> None:
    out, err = StringIO(), StringIO()
    call_command("invite", "ada", "--role", "operator", "--port", "8123", stdout=out, stderr=err)
    (line,) = out.getvalue().splitlines()
    prefix = "http://127.0.0.1:8123"
    assert line.startswith(prefix + "/login/")
    assert client.post(line.removeprefix(prefix)).status_code == 302
    assert can_operate(User.objects.get(username="ada"))
    # stdout is the link alone, so that a script can use it; what a person wants to know is on stderr.
    assert "once, as operator, within 15 minutes" in err.getvalue()
    assert line not in err.getvalue()


@pytest.mark.django_db
def test_who_is_invited_without_a_role_sees_and_does_not_act() -> None:
    call_command("invite", "ada", stdout=StringIO(), stderr=StringIO())
    assert not can_operate(User.objects.get(username="ada"))


@pytest.mark.django_db
def test_an_impossible_name_is_named_in_the_answer() -> None:
    with pytest.raises(CommandError, match="'a b' cannot be a user's name"):
        call_command("invite", "a b", stdout=StringIO(), stderr=StringIO())


def test_an_unknown_role_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CommandError, match=r"viewer.*operator"):
        call_command("invite", "ada", "--role", "admin", stdout=StringIO(), stderr=StringIO())
