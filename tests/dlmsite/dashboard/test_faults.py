"""What is done to nodes on purpose is asked for within bounds, refused with what to do, and shown once it was seen."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from dlmsite.dashboard import picture
from dlmsite.operations import rehearsalrows, requests
from dlmsite.operations.models import Hold, OperatorAction, RehearsalState

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cluster")]

AsUser = Callable[[str], Client]


def post(client: Client, path: str, body: object = None) -> Any:
    return client.post(path, "" if body is None else json.dumps(body), content_type="application/json")


def hold(kind: str = "paused", **more: Any) -> None:
    Hold.objects.create(**{"label": "n1", "kind": kind, "who": "ada", "pid": 100, "since_ns": 1_000_000} | more)


@pytest.mark.parametrize(
    ("path", "body", "options", "words"),
    [
        ("pause", None, {"seconds": 5.0}, "for 5 s"),
        ("pause", {"seconds": 60}, {"seconds": 60.0}, "for 60 s"),
        ("pause", {"seconds": None}, {"seconds": None}, "until told otherwise"),
        ("isolate", None, {"scope": "everything", "way": "both", "seconds": 5.0},
         "to be isolated from everything, for 5 s"),
        ("isolate", {"scope": "master", "way": "in", "seconds": 7}, {"scope": "master", "way": "in", "seconds": 7.0},
         "to be isolated from the master, inward only, for 7 s"),
    ],
)  # fmt: skip
def test_a_hold_is_asked_for_with_its_choices(
    as_user: AsUser, path: str, body: object, options: dict[str, object], words: str
) -> None:
    assert post(as_user("ada"), f"/api/nodes/n1/{path}/", body).status_code == 202
    action = OperatorAction.objects.get()
    assert (action.what, action.target, action.options, action.detail) == (path, "n1", options, words)


@pytest.mark.parametrize("seconds", [0, 0.5, 61, -1, "5", True, [], 1e400])
@pytest.mark.parametrize("what", ["pause", "isolate"])
def test_a_time_out_of_bounds_is_refused_with_the_bounds(as_user: AsUser, what: str, seconds: object) -> None:
    response = post(as_user("ada"), f"/api/nodes/n1/{what}/", {"seconds": seconds})
    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")
    assert response.json()["detail"] == '"seconds" is a number from 1 to 60, or null for no timer.'
    assert OperatorAction.objects.get().state == "failed"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"scope": "nothing"}, "one of everything, master, peers"),
        ({"scope": ["master"]}, "one of everything, master, peers"),
        ({"way": "sideways"}, "one of both, in, out"),
        ([], "not a JSON object"),
    ],
)
def test_a_cut_that_does_not_exist_is_refused_with_those_that_do(as_user: AsUser, body: object, told: str) -> None:
    response = post(as_user("ada"), "/api/nodes/n1/isolate/", body)
    assert response.status_code == 400
    assert told in response.json()["detail"]


@pytest.mark.parametrize(
    ("what", "kind", "told"),
    [
        ("pause", "paused", "n1 is paused already. End that first"),
        ("isolate", "paused", "n1 is paused already. End that first"),
        ("stop", "paused", "hears nothing. Resume it first, or kill it"),
        ("restart", "paused", "hears nothing"),
        ("heal", "paused", "n1 is not isolated"),
        ("resume", "isolated", "n1 is not paused"),
    ],
)
def test_what_a_held_node_cannot_do_is_refused_with_what_to_do(
    as_user: AsUser, what: str, kind: str, told: str
) -> None:
    hold(kind, scope="peers" if kind == "isolated" else "", way="both")
    response = post(as_user("ada"), f"/api/nodes/n1/{what}/")
    assert response.status_code == 409
    assert told in response.json()["detail"]


@pytest.mark.parametrize("what", ["resume", "kill"])
def test_a_paused_node_can_be_resumed_and_killed(as_user: AsUser, what: str) -> None:
    hold()
    assert post(as_user("ada"), f"/api/nodes/n1/{what}/").status_code == 202


def test_an_unknown_node_cannot_be_paused(as_user: AsUser) -> None:
    response = post(as_user("ada"), "/api/nodes/n9/pause/")
    assert response.status_code == 404
    assert "There is no node 'n9'" in response.json()["detail"]


@pytest.mark.parametrize(
    "path",
    ["/api/nodes/n1/pause/", "/api/nodes/n1/resume/", "/api/nodes/n1/isolate/", "/api/nodes/n1/heal/",
     "/api/rehearsal/", "/api/rehearsal/stop/"],
)  # fmt: skip
def test_a_viewer_breaks_nothing_and_that_is_recorded(as_user: AsUser, path: str) -> None:
    assert post(as_user("eve"), path, {"seconds": "nonsense"}).status_code == 403
    row = OperatorAction.objects.get()
    assert (row.who, row.state) == ("eve", "failed")


def test_a_rehearsal_is_asked_for_with_its_bounds(as_user: AsUser) -> None:
    body = {"seconds": 20, "nodes": 3, "seed": 7}
    assert post(as_user("ada"), "/api/rehearsal/", body).status_code == 202
    action = OperatorAction.objects.get()
    assert (action.what, action.options, action.detail) == ("rehearse", body, "20 s, 3 nodes, seed 7")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"seconds": 14}, "from 15 to 300"),
        ({"seconds": 301}, "from 15 to 300"),
        ({"seconds": 20.5}, "from 15 to 300"),
        ({"nodes": 4}, "3 or 5"),
        ({"nodes": True}, "3 or 5"),
        ({"seed": -1}, "from 0 to 2147483647"),
        ({"seed": 2**31}, "from 0 to 2147483647"),
        ({"seed": None}, "from 0 to 2147483647"),
    ],
)
def test_a_rehearsal_out_of_bounds_is_refused(as_user: AsUser, wrong: dict[str, object], told: str) -> None:
    response = post(as_user("ada"), "/api/rehearsal/", {"seconds": 20, "nodes": 3, "seed": 7} | wrong)
    assert response.status_code == 400
    assert told in response.json()["detail"]


def test_one_rehearsal_at_a_time(as_user: AsUser) -> None:
    body = {"seconds": 20, "nodes": 3, "seed": 7}
    assert post(as_user("ada"), "/api/rehearsal/stop/").status_code == 409
    post(as_user("ada"), "/api/rehearsal/", body)
    again = post(as_user("ada"), "/api/rehearsal/", body)
    assert again.status_code == 409
    assert again.json()["detail"] == "ada rehearses now. Wait for its end, or stop it."
    assert post(as_user("ada"), "/api/rehearsal/stop/").status_code == 202


def test_a_hold_is_shown_only_once_it_was_seen() -> None:
    """A request is no fact."""
    hold(since_ns=None)
    assert picture.snapshot()["holds"] == []
    Hold.objects.update(since_ns=2_000_000, until_ns=7_002_000_000)
    (shown,) = picture.snapshot()["holds"]
    assert shown == {
        "label": "n1", "kind": "paused", "scope": "", "way": "", "who": "ada", "text": "paused", "since_ms": 2.0,
        "until_ms": 7002.0,
    }  # fmt: skip


def test_a_reload_shows_the_last_rehearsal() -> None:
    assert picture.snapshot()["rehearsal"] is None
    number = rehearsalrows.begin("ada", 20, 3, 7)
    rehearsalrows.finish(number, RehearsalState.PASSED, "0 violations", {"rows": [], "violations": []})
    shown = picture.snapshot()["rehearsal"]
    assert (shown["id"], shown["state"], shown["detail"]) == (str(number), "passed", "0 violations")
    assert shown["report"]["violations"] == []


def test_rehearsals_are_no_action_on_a_node(as_user: AsUser) -> None:
    """Nothing of the live cluster waits for one."""
    requests.ask("ada", "rehearse", "")
    assert post(as_user("ada"), "/api/nodes/n1/kill/").status_code == 202
