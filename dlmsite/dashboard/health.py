"""Is it alive, is it ready: for load balancers and supervisors, which do not log in.

`/healthz` says that this process answers. `/readyz` says that it can do its work: the journal can be read, the recorder
is not far behind, and the master was seen lately.

Invariants
  H1  What was not measured is not ready.
  H2  The answers hold reasons in fixed words and times, nothing of the cluster: anybody may ask.
Elsewhere: the pulse (dlmsite.journal.recorder), the sight of the master (dlmsite.operations.watch), figures (metrics).
"""

import time
from http import HTTPStatus
from typing import Any, Final

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from dlmsite.dashboard import picture
from dlmsite.dashboard.openapi import Operation, describe
from dlmsite.dashboard.shapes import NUMBER, PROBLEM, TEXT, YES_NO, obj, several
from dlmsite.journal.models import Pulse
from dlmsite.problems import problem

LAG_MAX_MS: Final = 5_000.0
"""The recorder's own retry is that slow at most; a page would call this far behind."""
MASTER_MAX_MS: Final = 3_000
"""It is looked at five times a second, and a node without it fences itself after two."""

ALIVE: Final = obj(alive=YES_NO)
READY: Final = obj(ready=YES_NO, recorder_lag_ms=NUMBER, master_seen_ms=NUMBER)
NOT_READY: Final[dict[str, Any]] = {**PROBLEM, "properties": {**PROBLEM["properties"], "reasons": several(TEXT)}}


@describe("GET", Operation("Whether this process answers.", ALIVE, scope=None))
@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer."""
    del request
    return JsonResponse({"alive": True})


WHEN_NOT: Final = {HTTPStatus.SERVICE_UNAVAILABLE: "It cannot do its work now; `reasons` has why."}


@describe("GET", Operation("Whether this process can do its work.", READY, scope=None, problems=WHEN_NOT))
@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Answer 200, or 503 with the reasons."""
    del request
    now_ns = time.time_ns()
    try:
        lag_ms = picture.lag_ms_of(Pulse.objects.filter(pk=1).first(), now_ns)
        seen = picture.master(now_ns)
        seen_ms = None if seen is None else seen["seen_age_ms"]
    except DatabaseError:
        return _not_ready(["the journal cannot be read"])
    reasons = [
        *_late("the recorder", "is {:.1f} s behind", lag_ms, LAG_MAX_MS),
        *_late("the master", "was last seen {:.1f} s ago", seen_ms, MASTER_MAX_MS),
    ]
    if reasons:
        return _not_ready(reasons)
    return JsonResponse({"ready": True, "recorder_lag_ms": lag_ms, "master_seen_ms": seen_ms})


def _late(who: str, how: str, age_ms: float | None, most_ms: float) -> list[str]:
    """Return why this is not ready, if it is not (H1)."""
    if age_ms is None:
        return [f"{who} was never there"]
    return [f"{who} {how.format(age_ms / 1000)}"] if age_ms > most_ms else []


def _not_ready(reasons: list[str]) -> HttpResponse:
    text = f"{'; '.join(reasons).capitalize()}. Ask again; if it stays so, look at the site's log."
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, "Not ready", text, more={"reasons": reasons})
