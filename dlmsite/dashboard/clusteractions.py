"""What operators can ask for about clusters that are watched: attach, detach, canaries. Nothing is done to a cluster.

Each is a row of what operators did, also where it was refused.

Invariants
  A1 of `actions`.
Elsewhere: reading (clusters), the watching (dlmsite.observing).
"""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from dlmsite.access.roles import can_operate
from dlmsite.access.tokens import Scope
from dlmsite.dashboard.clusters import ABSENT, CLUSTER, cluster_named, cluster_of
from dlmsite.dashboard.gate import answer, json_view
from dlmsite.dashboard.openapi import Operation
from dlmsite.dashboard.problems import Refusal, invalid
from dlmsite.dashboard.shapes import TEXT, YES_NO, Schema, obj, told
from dlmsite.observing import book
from dlmsite.observing.models import ObservedCluster
from dlmsite.observing.naming import NamingProblem, Wanted, read_parts
from dlmsite.operations import requests

TEXT_CHARS_MAX: Final = 2_000
BODY: Final = obj(
    masters=told(TEXT, "HOST:PORT of a master, several joined by commas; a filer may stand for them"),
    name=told(TEXT, "empty: made from the first address"),
    group=told(TEXT, "filer group; empty: the default one"),
)
TAKEN: Final = {HTTPStatus.CONFLICT: "The name is taken, or too many are watched; `detail` says what to do."}
ANSWER: Final = obj(cluster=CLUSTER)


def _does(summary: str, body: Schema | None, problems: dict[HTTPStatus, str]) -> Operation:
    return Operation(summary, ANSWER, body=body, scope=Scope.OPERATE, problems=problems)


@json_view("POST", _does("Watch a SeaweedFS cluster from now on.", BODY, TAKEN))
def attach(request: HttpRequest) -> HttpResponse:
    """Have a cluster watched."""
    return _do(request, "attach", "", lambda who: book.attach(_wanted(request), who))


@json_view("POST", _does("Watch a cluster no longer; what was recorded stays.", None, ABSENT))
def detach(request: HttpRequest, name: str) -> HttpResponse:
    """End the watching of a cluster."""

    def do(who: str) -> ObservedCluster:
        row = cluster_named(name)
        if not book.detach(row, who):
            raise Refusal(HTTPStatus.CONFLICT, "Not possible", f"{name} is not watched: there is nothing to detach.")
        return cluster_named(name)

    return _do(request, "detach", name, do)


@json_view("POST", _does("Try a canary lock at each filer from time to time, or not.", obj(on=YES_NO), ABSENT))
def canary(request: HttpRequest, name: str) -> HttpResponse:
    """Switch the canaries of a cluster."""

    def do(who: str) -> ObservedCluster:
        row, on = cluster_named(name), _body(request).get("on")
        if not isinstance(on, bool):
            raise invalid('Say {"on": true} or {"on": false}.')
        if not row.attached:
            raise Refusal(HTTPStatus.CONFLICT, "Not possible", f"{name} is not watched. Attach it again first.")
        book.switch_canary(row, who, on=on)
        return cluster_named(name)

    return _do(request, "canary", name, do)


def _do(request: HttpRequest, what: str, target: str, do: Callable[[str], ObservedCluster]) -> HttpResponse:
    who = request.user.get_username()
    try:
        row = _done(request, who, do)
    except Refusal as refusal:
        requests.refuse(who, what, target, f"refused: {refusal.detail}")
        raise
    requests.note_done(who, what, row.name, row.masters if what == "attach" else "")
    return answer({"cluster": cluster_of(row)})


def _done(request: HttpRequest, who: str, do: Callable[[str], ObservedCluster]) -> ObservedCluster:
    if not can_operate(request.user):
        text = "You are a viewer: you see everything, and only an operator may act."
        raise Refusal(HTTPStatus.FORBIDDEN, "Not allowed", text)
    try:
        return do(who)
    except NamingProblem as problem:
        raise invalid(str(problem)) from None
    except book.AttachProblem as problem:
        raise Refusal(HTTPStatus.CONFLICT, "Not possible", str(problem)) from None


def _wanted(request: HttpRequest) -> Wanted:
    said = _body(request)
    parts = {name: said.get(name, "") for name in ("name", "masters", "group")}
    if not all(isinstance(text, str) and len(text) <= TEXT_CHARS_MAX for text in parts.values()):
        raise invalid('Say {"masters": "HOST:PORT", "name": "", "group": ""}.')
    return read_parts(**parts)


def _body(request: HttpRequest) -> dict[str, Any]:
    try:
        said = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise invalid("Send a JSON object.")
    return said
