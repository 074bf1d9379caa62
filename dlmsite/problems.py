"""Refusals on the wire: application/problem+json (RFC 9457), with a `type` that programs can rely on.

Invariants
  P1  Whatever goes wrong below /api/ is answered so: also what no view has seen (a missing token, an address that leads
      nowhere, too large a request, an exception).
  P2  `title` is the same for every problem of a `type`; what is particular, and what to do, is in `detail`.
Elsewhere: who refuses (dlmsite.door, dlmsite.errors, dlmsite.dashboard.problems), the types as a list (docs/api.md).
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from django.http import HttpRequest, JsonResponse
from django.utils.text import slugify

API: Final = "/api/"
METRICS: Final = "/metrics"
PROBES: Final = frozenset({METRICS, "/healthz", "/readyz"})
MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:problem-type:lockring:"
"""A name, not an address: it is the same wherever the site runs."""


def is_api(request: HttpRequest) -> bool:
    """Say whether a program asks, or a page's module: one that wants no page as an answer."""
    return request.path.startswith(API) or request.path in PROBES


def problem(
    status: HTTPStatus,
    title: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> JsonResponse:
    """Return the answer.

    Args:
        status: of the answer.
        title: what kind of problem; its slug is the last part of `type`.
        detail: what is wrong in this case, and what to do.
        headers: such as Retry-After.
        more: further members.
    """
    body = {"type": type_of(title), "title": title, "status": int(status), "detail": detail, **(more or {})}
    return JsonResponse(body, status=status, content_type=MEDIA_TYPE, headers=dict(headers or {}))


def type_of(title: str) -> str:
    """Return the `type` of a title."""
    return TYPE_PREFIX + slugify(title)
