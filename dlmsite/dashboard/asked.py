"""What a POST asks for in its body: read, bounded, and said in words.

Elsewhere: who may ask, and whether it is possible now (actions).
"""

import json
from http import HTTPStatus
from typing import Any, Final, NoReturn

from django.http import HttpRequest

from dlmsite.dashboard.problems import Refusal
from dlmsite.dashboard.shapes import Schema, maybe, obj, one_of
from dlmsite.operations import holdrows, holds, rehearsal
from dlmsite.operations.models import Hold
from lockcore.wire.rehearsal_codec import Scope, Way

Asked = tuple[dict[str, object], str]
"""The options of an action, and the same in words."""

SCOPES: Final = tuple(scope.value for scope in Scope if scope is not Scope.NOTHING)
WAYS: Final = tuple(way.value for way in Way)

SECONDS: Final = {"type": "number", "minimum": holds.SECONDS_MIN, "maximum": holds.SECONDS_MAX}
HOLD_BODY: Final[Schema] = {
    "type": "object",
    "description": "Of pause and isolate; the others take nothing. Null seconds: until somebody ends it.",
    "properties": {"seconds": maybe(SECONDS), "scope": one_of(*SCOPES), "way": one_of(*WAYS)},
}
REHEARSAL_BODY: Final = obj(
    seconds={"type": "integer", "minimum": rehearsal.SECONDS_MIN, "maximum": rehearsal.SECONDS_MAX},
    nodes={"type": "integer", "enum": list(rehearsal.NODES)},
    seed={"type": "integer", "minimum": 0, "maximum": rehearsal.SEED_MAX},
)


def nothing(request: HttpRequest) -> Asked:
    """Read no body: there is nothing to choose."""
    del request
    return {}, ""


def pause(request: HttpRequest) -> Asked:
    """Read {"seconds": 1 to 60, or null for no timer}; absent: the default."""
    seconds = _seconds(_body(request))
    return {"seconds": seconds}, _for(seconds)


def isolation(request: HttpRequest) -> Asked:
    """Read {"scope", "way", "seconds"}; absent ones are everything, both, and the default."""
    body = _body(request)
    scope, way = body.get("scope", Scope.EVERYTHING.value), body.get("way", Way.BOTH.value)
    if scope not in SCOPES:
        _refuse(f'Say whom it is to be cut off from: "scope" is one of {", ".join(SCOPES)}.')
    if way not in WAYS:
        _refuse(f'Say which way is to be cut: "way" is one of {", ".join(WAYS)}.')
    seconds = _seconds(body)
    told = holdrows.tell(Hold(kind=holdrows.ISOLATED, scope=scope, way=way))
    return {"scope": scope, "way": way, "seconds": seconds}, f"to be {told}, {_for(seconds)}"


def rehearse(request: HttpRequest) -> Asked:
    """Read {"seconds": 15 to 300, "nodes": 3 or 5, "seed": 0 to 2^31 - 1}; all are needed."""
    body = _body(request)
    seconds, nodes, seed = (body.get(name) for name in ("seconds", "nodes", "seed"))
    if not _is_int(seconds, rehearsal.SECONDS_MIN, rehearsal.SECONDS_MAX):
        _refuse(f'"seconds" of a rehearsal is a whole number from {rehearsal.SECONDS_MIN} to {rehearsal.SECONDS_MAX}.')
    if not _is_int(nodes, *rehearsal.NODES) or nodes not in rehearsal.NODES:
        _refuse('"nodes" of a rehearsal is 3 or 5.')
    if not _is_int(seed, 0, rehearsal.SEED_MAX):
        _refuse(f'"seed" of a rehearsal is a whole number from 0 to {rehearsal.SEED_MAX}.')
    options: dict[str, object] = {"seconds": seconds, "nodes": nodes, "seed": seed}
    return options, f"{seconds} s, {nodes} nodes, seed {seed}"


def _body(request: HttpRequest) -> dict[str, Any]:
    if not request.body:
        return {}
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        _refuse("The body is not a JSON object. Send one, or none.")
    return body


def _seconds(body: dict[str, Any]) -> float | None:
    seconds = body.get("seconds", holds.SECONDS_DEFAULT)
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        seconds = 0
    if not holds.SECONDS_MIN <= seconds <= holds.SECONDS_MAX:
        _refuse(f'"seconds" is a number from {holds.SECONDS_MIN} to {holds.SECONDS_MAX}, or null for no timer.')
    return float(seconds)


def _is_int(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _for(seconds: float | None) -> str:
    return "until told otherwise" if seconds is None else f"for {seconds:g} s"


def _refuse(text: str) -> NoReturn:
    raise Refusal(HTTPStatus.BAD_REQUEST, "Invalid request", text)
