"""What every JSON view has in common: methods, roles, and refusals instead of pages.

Elsewhere: the views (api, actions).
"""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache

from dlmsite.access.roles import can_view
from dlmsite.dashboard.problems import Refusal

View = Callable[..., HttpResponse]


def json_view(method: str) -> Callable[[View], View]:
    """Serve `method` to people with a role; turn refusals and a failing database into problems."""

    def decorate(view: View) -> View:
        @never_cache
        @wraps(view)
        def checked(request: HttpRequest, *args: str, **kwargs: str) -> HttpResponse:
            try:
                check(request, method)
                return view(request, *args, **kwargs)
            except Refusal as refusal:
                return refusal.response()
            except RequestDataTooBig:
                text = f"A request has at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes. Send less."
                return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too large", text).response()
            except DatabaseError:
                text = "The journal cannot be used now. Is the disk full? The site's log says why. Try again."
                return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "The journal is not available", text).response()

        return checked

    return decorate


def check(request: HttpRequest, method: str) -> None:
    """Raise a Refusal for a wrong method or somebody without a role."""
    if request.method != method:
        raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "Wrong method", f"Use {method} here.")
    if not can_view(request.user):
        text = "You are logged in, but have no role. Ask an operator to invite you as a viewer."
        raise Refusal(HTTPStatus.FORBIDDEN, "Not allowed", text)


def answer(body: dict[str, object], status: HTTPStatus = HTTPStatus.OK) -> JsonResponse:
    """Return JSON."""
    return JsonResponse(body, status=status)
