"""What a POST asks for in its body: read, bounded, and said in words.

Elsewhere: who may ask, and whether it is possible now (actions).
"""

import json
import re
from http import HTTPStatus
from typing import Any, Final, NoReturn

from django.http import HttpRequest

from dlmsite.dashboard.problems import Refusal
from dlmsite.dashboard.shapes import Schema, maybe, obj, one_of
from dlmsite.operations import holdrows, holds, rehearsal
from dlmsite.operations.models import Hold
from lockcore.core.limits import KEY_BYTES_MAX
from lockcore.wire.rehearsal_codec import Scope, Way

Asked = tuple[dict[str, object], str]
"""The options of an action, and the same in words."""

GENERATION: Final = re.compile(r"[0-9]{1,19}")
REASON_CHARS_MAX: Final = 120
"""Four bytes a character at most, and it is told with the name of who asked (REASON_BYTES_MAX)."""
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


RELEASE_BODY: Final = obj(
    key={"type": "string", "minLength": 1, "maxLength": KEY_BYTES_MAX},
    generation={"type": "string", "pattern": "^[0-9]{1,20}$", "description": "of the hold that is to end"},
    reason={"type": "string", "minLength": 1, "maxLength": REASON_CHARS_MAX},
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


def release(request: HttpRequest) -> Asked:
    """Read {"key", "generation" (digits, as a string), "reason"}; all are needed."""
    body = _body(request)
    key, generation, reason = (body.get(name) for name in ("key", "generation", "reason"))
    if not isinstance(key, str) or not 0 < len(key.encode(errors="replace")) <= KEY_BYTES_MAX:
        _refuse(f'"key" is the name of a lock, 1 to {KEY_BYTES_MAX} bytes.')
    if not isinstance(generation, str) or not GENERATION.fullmatch(generation):
        _refuse('"generation" is the number that is shown with the lock, as a string of digits.')
    if not isinstance(reason, str) or not 0 < len(reason.strip()) <= REASON_CHARS_MAX:
        _refuse(
            f'Say why: "reason" is a text of 1 to {REASON_CHARS_MAX} characters. It is kept in the lock\'s history.'
        )
    options: dict[str, object] = {"key": key, "generation": generation, "reason": " ".join(reason.split())}
    return options, f"{key[:200]!r} at generation {generation}: {options['reason']}"


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
