"""What every JSON view has in common: methods, roles, parameters, and refusals instead of pages.

Elsewhere: the views (api, actions), who is known at all (dlmsite.access.door), what an Operation says (openapi).
"""

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus

from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache

from dlmsite.access.roles import can_view
from dlmsite.dashboard.openapi import Operation, describe
from dlmsite.dashboard.parameters import check_names
from dlmsite.dashboard.problems import Refusal
from dlmsite.errors import too_large

View = Callable[..., HttpResponseBase]


def json_view(method: str, operation: Operation | None = None) -> Callable[[View], View]:
    """Serve `method` to people with a role; turn refusals and a failing database into problems.

    Args:
        method: the one that it takes.
        operation: what the API's document says of it, whose parameters are the only ones that are taken. A view below
            /api/ has one.
    """

    def decorate(view: View) -> View:
        @never_cache
        @wraps(view)
        def checked(request: HttpRequest, *args: str, **kwargs: str) -> HttpResponseBase:
            try:
                check(request, method)
                if operation is not None:
                    check_names(request, operation.parameters)
                return view(request, *args, **kwargs)
            except Refusal as refusal:
                response: HttpResponse = refusal.response()
                if refusal.status is HTTPStatus.METHOD_NOT_ALLOWED:
                    response["Allow"] = method
                return response
            except RequestDataTooBig:
                return too_large()
            except DatabaseError:
                text = "The journal cannot be used now. Is the disk full? The site's log says why. Try again."
                return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "The journal is not available", text).response()

        return describe(method, operation)(checked) if operation is not None else checked

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
