"""Middleware that counts requests and how long they took, for /metrics.

Invariants
  M1  Labels are bounded: the route is a URL pattern of ours or "none", the method one that we serve or "other".
Elsewhere: telling it (metrics).
"""

import time
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin
from prometheus_client import CollectorRegistry, Counter, Histogram

REGISTRY: Final = CollectorRegistry()
METHODS: Final = frozenset({"GET", "POST"})
BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_requests: Final = Counter(
    "lockring_http_requests", "Answered requests.", ["route", "method", "status"], registry=REGISTRY
)
_seconds: Final = Histogram(
    "lockring_http_request_duration_seconds", "From request to answer.", ["route"], registry=REGISTRY, buckets=BUCKETS_S
)


class Measured(MiddlewareMixin):
    """Stands behind the one that serves static files, before all that can refuse."""

    def process_request(self, request: HttpRequest) -> None:
        """Note when it came."""
        request.came_s = time.monotonic()  # type: ignore[attr-defined]

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Count it."""
        match = request.resolver_match
        route = match.route if match else "none"
        method = request.method if request.method in METHODS else "other"
        _requests.labels(route or "/", method, str(response.status_code)).inc()
        came_s: float = request.came_s  # type: ignore[attr-defined]
        _seconds.labels(route or "/").observe(time.monotonic() - came_s)
        return response
