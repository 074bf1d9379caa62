"""API tokens: what one opens, what it does not, and that it is nowhere but with who holds it."""

from datetime import timedelta
from io import StringIO

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from dlmsite.access import pace, throttle, tokens
from dlmsite.access.models import ApiToken
from dlmsite.access.pace import Buckets
from dlmsite.access.roles import Role, give_role
from dlmsite.access.tokens import Scope, TokenProblem
from dlmsite.logs import redact
from dlmsite.operations import requests
from dlmsite.operations.models import OperatorAction

pytestmark = pytest.mark.django_db

READABLE = "/api/events/"
DEED = "/api/nodes/"


@pytest.fixture(autouse=True)
def _fresh_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_buckets", Buckets())


@pytest.fixture
def helm() -> None:
    requests.note_helm(available=True, on=False)


def ask(token: str, path: str = READABLE, method: str = "get", client: Client | None = None) -> tuple[int, str]:
    """Ask with a token; return status and what is said."""
    client = client or Client(enforce_csrf_checks=True)
    response = getattr(client, method)(path, headers={"Authorization": f"Bearer {token}"})
    return response.status_code, response.content.decode()


def test_a_token_reads_and_only_its_hash_is_stored() -> None:
    token = tokens.create("prometheus", Scope.READ)
    assert ask(token)[0] == 200
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM access_apitoken")
        assert token.removeprefix(tokens.PREFIX) not in str(cursor.fetchall())


def test_a_read_token_may_not_act_and_the_refusal_names_it(helm: None) -> None:
    del helm
    status, said = ask(tokens.create("ci", Scope.READ), DEED, "post")
    assert status == 403
    assert "only an operator may act" in said
    assert OperatorAction.objects.values_list("who", "state").get() == ("token ci", "failed")


def test_an_operate_token_acts_without_a_csrf_token(helm: None) -> None:
    del helm
    token = tokens.create("ci", Scope.OPERATE)
    assert ask(token)[0] == 200
    assert ask(token, DEED, "post")[0] == 202
    assert OperatorAction.objects.get().who == "token ci"


def test_no_user_can_have_the_name_that_is_recorded_of_a_token() -> None:
    from django.core.exceptions import ValidationError

    name = tokens.TokenUser("ci", Role.VIEWER).get_username()
    with pytest.raises(ValidationError):
        User(username=name, password="x").full_clean()


@pytest.mark.parametrize("end", ["revoked", "expired", "unknown", "scopeless"])
def test_a_token_that_is_not_good_any_more_opens_nothing_and_the_answer_does_not_say_why(end: str) -> None:
    token = tokens.create("ci", Scope.READ)
    if end == "revoked":
        tokens.revoke("ci")
    elif end == "expired":
        ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif end == "scopeless":
        ApiToken.objects.update(scope="everything")
    else:
        token += "x"
    status, said = ask(token)
    assert status == 401
    assert "unknown, expired or revoked" in said
    assert token not in said


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic abc", "Bearer " + "lkr_" + "x" * 5000, "Bearer \x00"]
)
def test_a_header_that_makes_no_sense_is_explained(header: str) -> None:
    response = Client().get(READABLE, headers={"Authorization": header})
    assert response.status_code == 401
    assert response.json()["type"] == "urn:problem-type:lockring:invalid-token"
    assert response["WWW-Authenticate"] == 'Bearer realm="lockring", error="invalid_token"'


def test_a_bad_token_is_not_mended_by_a_good_session() -> None:
    user = User.objects.create_user("ada")
    give_role(user, Role.OPERATOR)
    client = Client()
    client.force_login(user)
    assert client.get(READABLE).status_code == 200
    assert ask("lkr_wrong", client=client)[0] == 401


def test_no_page_takes_a_token() -> None:
    token = tokens.create("ci", Scope.OPERATE)
    response = Client().get("/", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 302


@pytest.mark.django_db(transaction=True)
async def test_no_socket_takes_a_token() -> None:
    from asgiref.sync import sync_to_async

    from dlmsite.asgi import application

    token = await sync_to_async(tokens.create)("ci", Scope.OPERATE)
    headers = [
        (b"host", b"localhost"),
        (b"origin", b"http://localhost"),
        (b"authorization", f"Bearer {token}".encode()),
    ]
    socket = WebsocketCommunicator(application, "/ws/live/", headers=headers)
    connected, _code = await socket.connect()
    assert not connected


def test_many_bad_tokens_are_slowed_down_and_a_good_one_still_passes() -> None:
    token = tokens.create("ci", Scope.READ)
    for _ in range(throttle.TRIES_PER_ADDRESS):
        assert ask("lkr_wrong")[0] == 401
    response = Client().get(READABLE, headers={"Authorization": "Bearer lkr_wrong"})
    assert (response.status_code, response["Retry-After"]) == (429, str(throttle.WINDOW_S))
    assert ask(token)[0] == 200


def test_who_asks_too_often_is_told_how_long_to_wait_and_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_buckets", Buckets(per_s=0.5, burst=2))
    eager, other = tokens.create("eager", Scope.READ), tokens.create("other", Scope.READ)
    assert [ask(eager)[0] for _ in range(2)] == [200, 200]
    response = Client().get(READABLE, headers={"Authorization": f"Bearer {eager}"})
    assert (response.status_code, response["Retry-After"]) == (429, "2")
    assert response.json()["type"] == "urn:problem-type:lockring:too-many-requests"
    assert ask(other)[0] == 200


def test_a_bucket_fills_again_and_no_further_than_full() -> None:
    now_s = 0.0
    buckets = Buckets(per_s=2, burst=3, clock_s=lambda: now_s)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    now_s = 0.5
    assert buckets.take("a") == 0
    now_s = 1_000
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_buckets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "NAMES_MAX", 3)
    buckets = Buckets()
    for name in range(10):
        buckets.take(str(name))
    assert len(buckets) == 3


def test_use_is_noted_to_the_minute() -> None:
    """A write per request would make readers wait for the recorder."""
    token = tokens.create("ci", Scope.READ)
    assert ApiToken.objects.get().used_at is None
    ask(token)
    first = ApiToken.objects.get().used_at
    assert first is not None
    ask(token)
    assert ApiToken.objects.get().used_at == first
    ApiToken.objects.update(used_at=first - tokens.USED_EVERY)
    ask(token)
    again = ApiToken.objects.get().used_at
    assert again is not None
    assert again > first


@pytest.mark.parametrize(
    ("name", "days", "told"),
    [
        ("a b", 1, "use letters, digits"),
        ("x" * 65, 1, "at most 64"),
        ("", 1, "cannot be a token's name"),
        ("<img>", 1, "cannot be a token's name"),
        ("ok", 0, "1 to 366 days"),
        ("ok", 367, "1 to 366 days"),
    ],
)
def test_a_token_that_cannot_be_made_is_explained(name: str, days: int, told: str) -> None:
    with pytest.raises(TokenProblem, match=told):
        tokens.create(name, Scope.READ, days)


def test_a_name_is_there_once_until_it_is_revoked() -> None:
    tokens.create("ci", Scope.READ)
    with pytest.raises(TokenProblem, match="Revoke it first"):
        tokens.create("ci", Scope.READ)
    tokens.revoke("ci")
    tokens.create("ci", Scope.READ)


def test_tokens_are_bounded_and_ended_ones_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "TOKENS_MAX", 2)
    tokens.create("a", Scope.READ)
    tokens.create("b", Scope.READ)
    with pytest.raises(TokenProblem, match="which is the most"):
        tokens.create("c", Scope.READ)
    ApiToken.objects.filter(name="a").update(expires_at=timezone.now() - tokens.KEPT - timedelta(days=1))
    tokens.create("c", Scope.READ)
    assert set(ApiToken.objects.values_list("name", flat=True)) == {"b", "c"}


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("token", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_the_command_prints_the_token_alone_once_and_lists_and_revokes() -> None:
    out, err = run("create", "ci", "--scope", "operate", "--days", "7")
    token = out.strip()
    assert ask(token)[0] == 200
    assert token not in err
    listed, _ = run("list")
    assert listed.startswith("ci  operate  valid  until ")
    assert token not in listed
    run("revoke", "ci")
    assert ask(token)[0] == 401
    assert "revoked" in run("list")[0]


def test_the_command_explains_what_it_cannot_do() -> None:
    with pytest.raises(CommandError, match="no token 'nobody'"):
        run("revoke", "nobody")
    with pytest.raises(CommandError, match="use letters"):
        run("create", "a b")
    assert "manage.py token create" in run("list")[1]


def test_a_token_in_an_address_is_taken_out_of_what_is_logged() -> None:
    token = tokens.create("ci", Scope.READ)
    assert redact(f"Not Found: /api/{token}/x") == "Not Found: /api/<redacted>/x"
