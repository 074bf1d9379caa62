"""What can be read over HTTP: a snapshot, the history, where a key lives, what is on it, which sessions there are.

Elsewhere: what can be done (actions), the live socket (consumers), how a view is described (openapi).
"""

from http import HTTPStatus
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse

from dlmsite.dashboard import finding, inspecting, openapi, picture
from dlmsite.dashboard.gate import answer, json_view
from dlmsite.dashboard.openapi import Operation
from dlmsite.dashboard.parameters import Choice, KeyName, Text, Whole
from dlmsite.dashboard.problems import Refusal
from dlmsite.dashboard.shapes import ANYTHING, TEXT, WIDE, maybe, obj, ref, several, told
from dlmsite.journal.models import LockEvent
from lockcore.core.events import EventKind
from lockcore.core.ring import position_of

KEY: Final = KeyName()
KEY_NEEDED: Final = KeyName(required=True)
LIMIT: Final = Whole("limit", "How many at most.", most=500, default=100)
BEFORE: Final = Whole("before", "Only events with a lower id: `next_before` of the page before.")
KIND: Final = Choice("kind", "Only events of this kind.", tuple(EventKind))
NODE: Final = Text("node", "Only what this ring address told (or 'master', 'site').")
SESSION: Final = Text("session", "Only what has to do with this session.")

NO_ANSWER: Final = {HTTPStatus.SERVICE_UNAVAILABLE: "No node serves this key now, or its primary does not answer."}
FOUND: Final = obj(
    primary=TEXT, backup=maybe(TEXT), owner=told(TEXT, "empty: nobody holds it"), generation=WIDE
)  # fmt: skip
PAGE: Final = obj(events=several(ref("Event"), "newest first"), next_before=maybe(WIDE))


@json_view("GET", Operation("This document.", ANYTHING))
def document(request: HttpRequest) -> HttpResponse:
    """Return the API's document."""
    del request
    return answer(openapi.document())


@json_view("GET", Operation("The whole picture, as the page begins with one.", ref("Snapshot")))
def snapshot(request: HttpRequest) -> HttpResponse:
    """Return a whole picture, as the socket begins with one."""
    del request
    return answer(picture.snapshot())


@json_view("GET", Operation("History, newest first, page by page.", PAGE, (LIMIT, BEFORE, KEY, KIND, NODE, SESSION)))
def events(request: HttpRequest) -> HttpResponse:
    """Return history, newest first: `before`, `limit`, `key`, `kind`, `node`, `session` narrow it.

    `next_before` is what to ask with for the page after; null on the last one.
    """
    limit = LIMIT.need(request)
    rows = LockEvent.objects.order_by("-id")
    if (before := BEFORE.read(request)) is not None:
        rows = rows.filter(id__lt=before)
    if key := KEY.read(request):
        rows = rows.filter(position=position_of(key), key=key)
    if kind := KIND.read(request):
        rows = rows.filter(kind=kind)
    if node := NODE.read(request):
        rows = rows.filter(source=node)
    if session := SESSION.read(request):
        rows = rows.filter(session=session)
    found = list(rows[: limit + 1])
    labels = picture.node_labels()
    return answer(
        {
            "events": [picture.event_of(row, labels) for row in found[:limit]],
            "next_before": str(found[limit - 1].pk) if len(found) > limit else None,
        }
    )


@json_view("GET", Operation("Who serves a key, and who holds it.", FOUND, (KEY_NEEDED,), problems=NO_ANSWER))
def find(request: HttpRequest) -> HttpResponse:
    """Return who serves a key, by the newest view, and who holds it, by asking that node."""
    key = KEY_NEEDED.read(request)
    primary, backup = picture.ring_of(picture.newest_view()).owners(key)
    if primary is None:
        raise no_ring()
    owner, generation = async_to_sync(finding.ask_owner)(primary, key)
    return answer({"primary": primary, "backup": backup, "owner": owner, "generation": picture.wide(generation)})


@json_view("GET", Operation("What is on a key now.", ref("Key"), (KEY_NEEDED,), problems=NO_ANSWER))
def key(request: HttpRequest) -> HttpResponse:
    """Return what the primary of a key decides now: holder, queue, ranges, who waits for them, and past migrations."""
    wanted = KEY_NEEDED.read(request)
    primary = picture.ring_of(picture.newest_view()).primary(wanted)
    if primary is None:
        raise no_ring()
    return answer(inspecting.key_of(wanted, primary))


@json_view("GET", Operation("The newest sessions and what they have.", ref("Sessions")))
def sessions(request: HttpRequest) -> HttpResponse:
    """Return the newest sessions and what they have, added up over the nodes that answer."""
    del request
    return answer(inspecting.sessions_of(m["address"] for m in _members() if not m["down"]))


def _members() -> list[dict[str, Any]]:
    view = picture.newest_view()
    return list(view.members) if view else []


def no_ring() -> Refusal:
    """Return the refusal where nobody serves anything."""
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "No ring", "No node is up, so nobody serves this key.")
