"""The door of the API: who asks is told by a session or by `Authorization: Bearer`, and how often is bounded.

Invariants
  D1  A token counts below /api/ and at /metrics, nowhere else: no page and no socket looks at it.
  D2  Whoever shows a token is judged by it alone, also beside a good session; such a request needs no CSRF token, for
      no foreign page can make a browser send the header.
  D3  Who is not known gets 401 as a problem, never a redirect to a page, and learns nothing of what is there.
Elsewhere: tokens (tokens), how often is too often (pace), pages (Django's LoginRequiredMiddleware).
"""

from http import HTTPStatus
from math import ceil
from typing import Final

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from dlmsite.access import pace, throttle, tokens
from dlmsite.problems import API, METRICS, problem

CHALLENGE: Final = 'Bearer realm="lockring"'
MAKE_ONE: Final = "`manage.py token create NAME --scope read` makes one where Lockring runs."


class ApiDoor(MiddlewareMixin):
    """Middleware, after the one that knows sessions and before the one that sends people to the login page."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        """Find out who asks; refuse who is not known, and who asks too often."""
        if not is_guarded(request):
            return None
        if "Authorization" in request.headers:
            scheme, _, token = request.headers["Authorization"].partition(" ")
            user = tokens.user_of(token.strip()) if scheme.lower() == "bearer" else None
            request.user = user or AnonymousUser()  # type: ignore[assignment]  # stands where a user stands
            # Read by Django's CSRF middleware; the header itself proves that no foreign page made this request (D2).
            request._dont_enforce_csrf_checks = user is not None  # type: ignore[attr-defined]  # noqa: SLF001
        return refusal_of(request)


def is_guarded(request: HttpRequest) -> bool:
    """Say whether programs come here."""
    return request.path.startswith(API) or request.path == METRICS


def refusal_of(request: HttpRequest) -> HttpResponse | None:
    """Return why this request may not go on; None if it may."""
    if not request.user.is_authenticated:
        return _unknown(request)
    wait_s = pace.take(request.user.get_username())
    if not wait_s:
        return None
    text = (
        f"You ask more often than {pace.PER_S:g} times a second. Wait {ceil(wait_s)} s; "
        "the live socket and larger pages need fewer requests."
    )
    return problem(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests", text, headers={"Retry-After": str(ceil(wait_s))})


def _unknown(request: HttpRequest) -> HttpResponse:
    if "Authorization" not in request.headers:
        text = f"Log in on the page, or send `Authorization: Bearer TOKEN`; {MAKE_ONE}"
        return problem(HTTPStatus.UNAUTHORIZED, "Not logged in", text, headers={"WWW-Authenticate": CHALLENGE})
    if not throttle.may_fail(str(request.META.get("REMOTE_ADDR", ""))):
        text = f"There were too many tokens that open nothing. Wait {throttle.WINDOW_S} s, then send a valid one."
        headers = {"Retry-After": str(throttle.WINDOW_S)}
        return problem(HTTPStatus.TOO_MANY_REQUESTS, "Too many failures", text, headers=headers)
    text = f"This token opens nothing: it is unknown, expired or revoked, or not sent as `Bearer TOKEN`. {MAKE_ONE}"
    headers = {"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"'}
    return problem(HTTPStatus.UNAUTHORIZED, "Invalid token", text, headers=headers)
