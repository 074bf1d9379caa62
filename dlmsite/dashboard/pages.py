"""What every page has in common: methods, roles, no copy in a cache, and a token for what it posts.

Elsewhere: the pages themselves (views, audit, lock, spacetimepage, clusters), views for programs (gate).
"""

from collections.abc import Callable

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from dlmsite.access.roles import can_operate, can_view

View = Callable[..., HttpResponse]


def served(view: View) -> View:
    """Serve a page to GET and HEAD, anew each time, with a CSRF cookie."""
    return never_cache(ensure_csrf_cookie(require_safe(view)))


def show(request: HttpRequest, template: str, **context: object) -> HttpResponse:
    """Return a page for whoever may see it, with whether they may operate.

    Raises:
        PermissionDenied: they have no role.
    """
    if not can_view(request.user):
        raise PermissionDenied
    return render(request, template, {**context, "can_operate": can_operate(request.user)})
