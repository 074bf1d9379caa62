"""What operators can ask for over HTTP.

A POST writes a request down and answers 202; whether it worked is told by the action's row and by the cluster's events.

Invariants
  A1  Whoever may not act gets 403 and leaves a failed OperatorAction behind; so does what is not possible.
Elsewhere: doing it (dlmsite.operations.helm), what the bodies say (asked).
"""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse

from dlmsite.access.roles import can_operate
from dlmsite.access.tokens import Scope
from dlmsite.dashboard import asked, picture
from dlmsite.dashboard.gate import answer, json_view
from dlmsite.dashboard.openapi import Operation
from dlmsite.dashboard.problems import Refusal
from dlmsite.dashboard.shapes import YES_NO, Schema, obj, ref
from dlmsite.journal.models import Node
from dlmsite.journal.recorder import send_hint
from dlmsite.operations import holdrows, requests
from dlmsite.operations.models import Helm
from dlmsite.operations.seats import NODES_MAX, next_label

Check = Callable[[Helm], None]
Read = Callable[[HttpRequest], asked.Asked]

DEEDS: Final = {
    "kill": "be killed",
    "stop": "be stopped",
    "restart": "be restarted",
    "pause": "be paused",
    "resume": "be resumed",
    "isolate": "be isolated",
    "heal": "be healed",
}
READS: Final[dict[str, Read]] = {"pause": asked.pause, "isolate": asked.isolation}
ENDS: Final = {"resume": holdrows.PAUSED, "heal": holdrows.ISOLATED}
UNABLE: Final = frozenset({"stop", "restart"})
"""What a paused node cannot do: it hears nothing."""
ENDED: Final = frozenset({"killed", "stopped"})
NO_HELM: Final = "Nobody here can start or end processes: this cluster was not started with `manage.py up`."

IMPOSSIBLE: Final = {HTTPStatus.CONFLICT: "Not possible now; `detail` says why. The refusal is recorded."}
UNKNOWN: Final = {HTTPStatus.NOT_FOUND: "There is no such node or deed.", **IMPOSSIBLE}


def asks(summary: str, body: Schema | None = None, problems: Mapping[HTTPStatus, str] = IMPOSSIBLE) -> Operation:
    """Say of a view that it asks for an action."""
    return Operation(
        f"{summary} Answers when that is written down; its action tells how it ends.",
        obj(action=ref("Action")),
        body=body,
        status=HTTPStatus.ACCEPTED,
        scope=Scope.OPERATE,
        problems=problems,
    )


@json_view("POST", asks("Ask for one more node."))
def add_node(request: HttpRequest) -> HttpResponse:
    """Ask for one more node."""
    return ask(request, "add", "", _check_add)


@json_view("POST", asks(f"Ask for a node to {', '.join(DEEDS.values())}.", asked.HOLD_BODY, UNKNOWN))
def act_on_node(request: HttpRequest, label: str, what: str) -> HttpResponse:
    """Ask for something to be done to a node."""
    if what not in DEEDS:
        raise Refusal(HTTPStatus.NOT_FOUND, "No such action", f"A node can {', '.join(DEEDS.values())}.")
    return ask(request, what, label, lambda helm: _check_node(helm, label, what), READS.get(what, asked.nothing))


@json_view("POST", asks("Ask for a cluster of its own to be broken.", asked.REHEARSAL_BODY))
def rehearse(request: HttpRequest) -> HttpResponse:
    """Ask for a cluster of its own to be broken."""
    return ask(request, "rehearse", "", _check_rehearse, asked.rehearse)


@json_view("POST", asks("Ask for the rehearsal that runs to be ended."))
def stop_rehearsal(request: HttpRequest) -> HttpResponse:
    """Ask for the rehearsal that runs to be ended."""
    return ask(request, "stop rehearsal", "", _check_stop)


@json_view("POST", asks("Ask for a lock to be taken away from its holder.", asked.RELEASE_BODY))
def release_lock(request: HttpRequest) -> HttpResponse:
    """Ask for a lock to be taken away from its holder."""
    return ask(request, "release", "", _check_nothing, asked.release)


@json_view("POST", asks("Ask for the workload to be on or off.", obj(on=YES_NO)))
def switch_workload(request: HttpRequest) -> HttpResponse:
    """Ask for the workload to be on or off."""
    try:
        on = json.loads(request.body)["on"]
    except (ValueError, KeyError, TypeError, RecursionError):
        on = None
    if not isinstance(on, bool):
        text = 'Say {"on": true} or {"on": false}.'
        raise Refusal(HTTPStatus.BAD_REQUEST, "Invalid request", text)
    return ask(request, "workload", "on" if on else "off", _check_workload)


def ask(request: HttpRequest, what: str, target: str, check: Check, read: Read = asked.nothing) -> HttpResponse:
    """Write down what somebody asks for, or that they may not have it (A1)."""
    who = request.user.get_username()
    try:
        helm = helm_for(request)
        options, words = read(request)
        check(helm)
    except Refusal as refusal:
        requests.refuse(who, what, target, f"refused: {refusal.detail}")
        async_to_sync(send_hint)()
        raise
    action = requests.ask(who, what, target, options=options, detail=words)
    async_to_sync(send_hint)()
    return answer({"action": picture.action_of(action)}, HTTPStatus.ACCEPTED)


def helm_for(request: HttpRequest) -> Helm:
    """Return who carries out what is asked for.

    Raises:
        Refusal: who asks may not, or nobody is there.
    """
    if not can_operate(request.user):
        text = "You are a viewer: you see everything, and only an operator may act."
        raise Refusal(HTTPStatus.FORBIDDEN, "Not allowed", text)
    helm = requests.present_helm()
    if helm is None:
        raise Refusal(HTTPStatus.CONFLICT, "Not possible", NO_HELM)
    return helm


def _check_add(helm: Helm) -> None:
    del helm
    if next_label(set(Node.objects.values_list("label", flat=True))) is None:
        text = f"All {NODES_MAX} labels are in use. Restart a node that was stopped instead."
        raise Refusal(HTTPStatus.CONFLICT, "Not possible", text)


def _check_node(helm: Helm, label: str, what: str) -> None:
    del helm
    node = Node.objects.filter(label=label).first()
    if node is None:
        text = f"There is no node {label[:64]!r}. Look at the table of nodes for those there are."
        raise Refusal(HTTPStatus.NOT_FOUND, "No such node", text)
    if node.pid is None and node.state not in ENDED:
        text = f"The process of {label} was not started here, so nobody here can touch it."
        raise Refusal(HTTPStatus.CONFLICT, "Not possible", text)
    if what != "restart" and node.pid is None:
        raise Refusal(HTTPStatus.CONFLICT, "Not possible", f"{label} is not running: it was {node.state}.")
    _check_hold(label, what)
    other = requests.open_action_on(label)
    if other is not None:
        text = f"{other.who} has asked for {label} to {DEEDS.get(other.what, 'change')} just now. Wait for that to end."
        raise Refusal(HTTPStatus.CONFLICT, "Not possible", text)


def _check_hold(label: str, what: str) -> None:
    hold = holdrows.of(label)
    text = ""
    if what in ENDS and (hold is None or hold.kind != ENDS[what]):
        text = f"{label} is not {ENDS[what]}: there is nothing to {what}."
    elif what in READS and hold is not None:
        text = f"{label} is {holdrows.tell(hold)} already. End that first, or wait for its time."
    elif what in UNABLE and hold is not None and hold.kind == holdrows.PAUSED:
        text = f"{label} is paused and hears nothing. Resume it first, or kill it."
    if text:
        raise Refusal(HTTPStatus.CONFLICT, "Not possible", text)


def _check_nothing(helm: Helm) -> None:
    del helm


def _check_rehearse(helm: Helm) -> None:
    del helm
    other = requests.open_action("rehearse")
    if other is not None:
        raise Refusal(HTTPStatus.CONFLICT, "Not possible", f"{other.who} rehearses now. Wait for its end, or stop it.")
    trying = requests.open_action("try")
    if trying is not None:
        text = f"{trying.who} tries something on the cluster now. Wait for its end, or cancel it."
        raise Refusal(HTTPStatus.CONFLICT, "Not possible", text)


def _check_stop(helm: Helm) -> None:
    del helm
    if requests.open_action("rehearse") is None:
        raise Refusal(HTTPStatus.CONFLICT, "Not possible", "No rehearsal is running: there is nothing to stop.")


def _check_workload(helm: Helm) -> None:
    if not helm.workload_available:
        raise Refusal(HTTPStatus.CONFLICT, "Not possible", "There is no workload to switch here.")
