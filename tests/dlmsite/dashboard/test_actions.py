"""What operators ask for is a row; what is refused is one as well."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dlmsite.journal.models import Node
from dlmsite.operations import requests
from dlmsite.operations.models import Helm, OperatorAction

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cluster")]

AsUser = Callable[[str], Client]


def test_an_operators_request_is_a_row_that_waits_for_the_supervisor(as_user: AsUser) -> None:
    response = as_user("ada").post("/api/nodes/n1/kill/")
    assert response.status_code == 202
    action = OperatorAction.objects.get()
    assert response.json()["action"]["id"] == str(action.pk)
    assert (action.who, action.what, action.target, action.state) == ("ada", "kill", "n1", "requested")


@pytest.mark.parametrize(
    ("path", "what", "target"),
    [("/api/nodes/", "add", ""), ("/api/nodes/n2/stop/", "stop", "n2"), ("/api/nodes/n3/restart/", "restart", "n3")],
)
def test_each_deed_has_its_path(as_user: AsUser, path: str, what: str, target: str) -> None:
    assert as_user("ada").post(path).status_code == 202
    assert OperatorAction.objects.values_list("what", "target").get() == (what, target)


@pytest.mark.parametrize("path", ["/api/nodes/", "/api/nodes/n1/kill/", "/api/nodes/n1/stop/"])
def test_a_viewers_post_is_refused_and_recorded(as_user: AsUser, path: str) -> None:
    response = as_user("eve").post(path)
    assert response.status_code == 403
    assert response["Content-Type"] == "application/problem+json"
    assert "only an operator may act" in response.json()["detail"]
    row = OperatorAction.objects.get()
    assert (row.who, row.state) == ("eve", "failed")
    assert row.detail.startswith("refused: You are a viewer")
    assert requests.claim() == []


def test_a_viewer_cannot_switch_the_workload(as_user: AsUser) -> None:
    response = as_user("eve").post("/api/workload/", {"on": True}, content_type="application/json")
    assert response.status_code == 403
    assert OperatorAction.objects.get().state == "failed"


def test_an_anonymous_post_does_nothing() -> None:
    assert Client().post("/api/nodes/n1/kill/").status_code == 401
    assert not OperatorAction.objects.exists()


def test_a_post_from_another_page_is_refused(people: dict[str, User]) -> None:
    """CSRF: a session alone is not enough."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(people["ada"])
    assert client.post("/api/nodes/n1/kill/").status_code == 403
    assert not OperatorAction.objects.exists()


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/api/nodes/n9/kill/", 404, "There is no node 'n9'"),
        ("/api/nodes/n3/kill/", 409, "n3 is not running: it was killed"),
        ("/api/nodes/n3/stop/", 409, "n3 is not running"),
    ],
)
def test_what_is_not_possible_says_why_and_is_recorded(as_user: AsUser, path: str, status: int, told: str) -> None:
    response = as_user("ada").post(path)
    assert response.status_code == status
    assert told in response.json()["detail"]
    assert OperatorAction.objects.get().state == "failed"


def test_a_node_that_is_being_changed_is_left_alone(as_user: AsUser) -> None:
    as_user("ada").post("/api/nodes/n1/restart/")
    response = as_user("ada").post("/api/nodes/n1/kill/")
    assert response.status_code == 409
    assert "ada has asked for n1 to be restarted just now" in response.json()["detail"]


def test_somebody_elses_process_is_not_touched(as_user: AsUser) -> None:
    Node.objects.filter(label="n1").update(pid=None)
    response = as_user("ada").post("/api/nodes/n1/kill/")
    assert "was not started here" in response.json()["detail"]


def test_without_a_supervisor_nothing_can_be_done(as_user: AsUser) -> None:
    Helm.objects.all().delete()
    response = as_user("ada").post("/api/nodes/")
    assert response.status_code == 409
    assert "not started with `manage.py up`" in response.json()["detail"]


def test_a_deed_that_does_not_exist_is_named_with_those_that_do(as_user: AsUser) -> None:
    response = as_user("ada").post("/api/nodes/n1/fly/")
    assert response.status_code == 404
    assert response.json()["detail"].startswith("A node can be killed, be stopped, be restarted, be paused, ")


@pytest.mark.parametrize("body", ["", "{", "[]", '{"on": "yes"}', '{"off": true}', "[" * 5000])
def test_a_switch_that_says_neither_on_nor_off_is_explained(as_user: AsUser, body: str) -> None:
    response = as_user("ada").post("/api/workload/", body, content_type="application/json")
    assert response.status_code == 400
    assert response.json()["detail"] == 'Say {"on": true} or {"on": false}.'


def test_the_workload_is_asked_to_change(as_user: AsUser) -> None:
    response = as_user("ada").post("/api/workload/", {"on": True}, content_type="application/json")
    assert response.status_code == 202
    assert OperatorAction.objects.values_list("what", "target").get() == ("workload", "on")


def test_without_a_workload_there_is_no_switch(as_user: AsUser) -> None:
    requests.note_helm(available=False, on=False)
    response = as_user("ada").post("/api/workload/", {"on": True}, content_type="application/json")
    assert response.status_code == 409


RELEASE = {"key": "reports/daily", "generation": "1700000000000000123", "reason": " its owner  left "}


def test_a_lock_is_taken_away_by_key_generation_and_reason(as_user: AsUser) -> None:
    response = as_user("ada").post("/api/locks/release/", RELEASE, content_type="application/json")
    assert response.status_code == 202
    action = OperatorAction.objects.get()
    assert (action.who, action.what, action.state) == ("ada", "release", "requested")
    assert action.options == {**RELEASE, "reason": "its owner left"}
    assert "reports/daily" in action.detail


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"key": ""}, "name of a lock"),
        ({"key": 7}, "name of a lock"),
        ({"generation": 12}, "string of digits"),
        ({"generation": "-1"}, "string of digits"),
        ({"reason": "  "}, "Say why"),
        ({"reason": "x" * 121}, "1 to 120 characters"),
    ],
)
def test_what_is_missing_to_take_a_lock_away_is_said(as_user: AsUser, wrong: dict[str, object], says: str) -> None:
    response = as_user("ada").post("/api/locks/release/", {**RELEASE, **wrong}, content_type="application/json")
    assert response.status_code == 400
    assert says in response.json()["detail"]
    assert OperatorAction.objects.get().state == "failed"


def test_a_viewer_takes_no_lock_away(as_user: AsUser) -> None:
    assert as_user("eve").post("/api/locks/release/", RELEASE, content_type="application/json").status_code == 403
