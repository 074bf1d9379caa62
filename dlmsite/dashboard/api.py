"""What can be read over HTTP: a snapshot, the history, where a key lives, what is on it, which sessions there are.

Elsewhere: what can be done (actions), the live socket (consumers).
"""

from http import HTTPStatus
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse

from dlmsite.dashboard import finding, inspecting, picture
from dlmsite.dashboard.gate import answer, json_view
from dlmsite.dashboard.problems import Refusal
from dlmsite.journal.models import LockEvent
from lockcore.core.events import EventKind
from lockcore.core.limits import KEY_BYTES_MAX
from lockcore.core.ring import HashRing, position_of

LIMIT_DEFAULT: Final = 100
LIMIT_MAX: Final = 500
ID_DIGITS_MAX: Final = 18


@json_view("GET")
def snapshot(request: HttpRequest) -> HttpResponse:
    """Return a whole picture, as the socket begins with one."""
    del request
    return answer(picture.snapshot())


@json_view("GET")
def events(request: HttpRequest) -> HttpResponse:
    """Return history, newest first: `before`, `limit`, `key`, `kind`, `node`, `session` narrow it.

    `next_before` is what to ask with for the page after; null on the last one.
    """
    limit = _number(request, "limit", LIMIT_DEFAULT, LIMIT_MAX)
    rows = LockEvent.objects.order_by("-id")
    if "before" in request.GET:
        rows = rows.filter(id__lt=_number(request, "before", 0, 10**ID_DIGITS_MAX))
    if key := request.GET.get("key", ""):
        rows = rows.filter(position=position_of(_key(key)), key=key)
    if kind := request.GET.get("kind", ""):
        if kind not in set(EventKind):
            raise _invalid(f"There is no kind {kind[:40]!r}: choose one of {', '.join(EventKind)}.")
        rows = rows.filter(kind=kind)
    if node := request.GET.get("node", ""):
        rows = rows.filter(source=node)
    if session := request.GET.get("session", ""):
        rows = rows.filter(session=session)
    found = list(rows[: limit + 1])
    labels = picture.node_labels()
    return answer(
        {
            "events": [picture.event_of(row, labels) for row in found[:limit]],
            "next_before": str(found[limit - 1].pk) if len(found) > limit else None,
        }
    )


@json_view("GET")
def find(request: HttpRequest) -> HttpResponse:
    """Return who serves a key, by the newest view, and who holds it, by asking that node."""
    key = _key(request.GET.get("key", ""))
    primary, backup = _ring().owners(key)
    if primary is None:
        raise _no_ring()
    owner, generation = async_to_sync(finding.ask_owner)(primary, key)
    return answer({"primary": primary, "backup": backup, "owner": owner, "generation": picture.wide(generation)})


@json_view("GET")
def key(request: HttpRequest) -> HttpResponse:
    """Return what the primary of a key decides now: holder, queue, ranges, who waits for them, and past migrations."""
    wanted = _key(request.GET.get("key", ""))
    primary = _ring().primary(wanted)
    if primary is None:
        raise _no_ring()
    return answer(inspecting.key_of(wanted, primary))


@json_view("GET")
def sessions(request: HttpRequest) -> HttpResponse:
    """Return the newest sessions and what they have, added up over the nodes that answer."""
    del request
    return answer(inspecting.sessions_of(m["address"] for m in _members() if not m["down"]))


def _members() -> list[dict[str, Any]]:
    view = picture.newest_view()
    return list(view.members) if view else []


def _ring() -> HashRing:
    members = _members()
    return HashRing((m["address"] for m in members), down=(m["address"] for m in members if m["down"]))


def _no_ring() -> Refusal:
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "No ring", "No node is up, so nobody serves this key.")


def _key(key: str) -> str:
    if not key:
        raise _invalid("Say which key: ?key=NAME.")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise _invalid("A key is UTF-8 text.") from None
    if size > KEY_BYTES_MAX:
        raise _invalid(f"A key has at most {KEY_BYTES_MAX:,} bytes; this one has {size:,}.")
    return key


def _number(request: HttpRequest, name: str, default: int, most: int) -> int:
    text = request.GET.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= ID_DIGITS_MAX and 1 <= int(text) <= most):
        raise _invalid(f"{name} must be a whole number from 1 to {most:,}.")
    return int(text)


def _invalid(detail: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, "Invalid request", detail)
