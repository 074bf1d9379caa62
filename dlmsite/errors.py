"""What is answered where no view could: below /api/ a problem, elsewhere a page.

Invariants
  E1  No answer shows a traceback, a setting or the address of a file.
Elsewhere: the pages (templates/400.html to 500.html), problems (dlmsite.problems).
"""

from http import HTTPStatus

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.views import defaults

from dlmsite.problems import is_api, problem


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django could not take: malformed, too large, under a foreign host name."""
    if not is_api(request):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return too_large()
    text = "It is malformed, or came under a host name that is not ours: further names go into LOCKRING_ALLOWED_HOSTS."
    return problem(HTTPStatus.BAD_REQUEST, "Invalid request", text)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer who may not."""
    if not is_api(request):
        return defaults.permission_denied(request, exception)
    return problem(HTTPStatus.FORBIDDEN, "Not allowed", "This is not for you. Ask an operator.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer an address that leads nowhere."""
    if not is_api(request):
        return defaults.page_not_found(request, exception)
    text = "There is nothing at this address. /api/openapi.json lists what there is; addresses end in a slash."
    return problem(HTTPStatus.NOT_FOUND, "No such address", text)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer after an exception, which is in the log by now."""
    if not is_api(request):
        return defaults.server_error(request)
    text = "Something broke in the site; the lock cluster runs on. The site's log says what it was. Try again."
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "Something broke", text)


def too_large() -> HttpResponse:
    """Answer a body that is larger than any we take."""
    text = f"A request has at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes. Send less."
    return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too large", text)
