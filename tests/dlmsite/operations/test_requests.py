"""Actions as rows: each goes one way, and one supervisor gets it."""

import time

import pytest

from dlmsite.operations import requests
from dlmsite.operations.models import Helm, OperatorAction

pytestmark = pytest.mark.django_db


def test_a_request_is_claimed_once() -> None:
    asked = requests.ask("ada", "kill", "n1")
    assert [action.pk for action in requests.claim()] == [asked.pk]
    assert requests.claim() == []
    asked.refresh_from_db()
    assert asked.state == "running"


def test_only_a_running_action_ends() -> None:
    asked = requests.ask("ada", "add", "")
    assert not requests.finish(asked.pk, done=True, detail="", target="n4")
    requests.claim()
    assert requests.finish(asked.pk, done=True, detail="joined", target="n4")
    assert not requests.finish(asked.pk, done=False, detail="late", target="n4")
    asked.refresh_from_db()
    assert (asked.state, asked.detail, asked.target) == ("done", "joined", "n4")


def test_a_refusal_is_a_row_that_is_never_claimed() -> None:
    row = requests.refuse("eve", "kill", "n" * 100, "refused: you are a viewer")
    assert (row.state, row.who, len(row.target)) == ("failed", "eve", 64)
    assert requests.claim() == []


def test_what_a_crashed_supervisor_left_is_failed_not_done() -> None:
    running = requests.ask("ada", "kill", "n1")
    requests.claim()
    old = requests.ask("ada", "stop", "n2")
    OperatorAction.objects.filter(pk=old.pk).update(requested_at_ns=time.time_ns() - requests.STALE_NS - 1)
    new = requests.ask("ada", "stop", "n3")
    requests.abandon()
    states = dict(OperatorAction.objects.values_list("pk", "state"))
    assert states == {running.pk: "failed", old.pk: "failed", new.pk: "requested"}


def test_an_action_that_has_not_ended_is_found_by_its_target() -> None:
    asked = requests.ask("ada", "kill", "n1")
    assert requests.open_action_on("n1") == asked
    assert requests.open_action_on("n2") is None


def test_a_supervisor_that_is_silent_is_not_there() -> None:
    assert requests.present_helm() is None
    requests.note_helm(available=True, on=False)
    requests.note_helm(available=True, on=True)
    helm = requests.present_helm()
    assert helm is not None
    assert (helm.workload_available, helm.workload_on, Helm.objects.count()) == (True, True, 1)
    Helm.objects.update(at_ns=time.time_ns() - requests.PRESENT_NS)
    assert requests.present_helm() is None
