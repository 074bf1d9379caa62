"""The pages: the ring, and how the nodes did over time.

Elsewhere: what fills them (static/js/main.js and charts.js, consumers, api).
"""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from dlmsite.access.roles import can_operate, can_view
from dlmsite.dashboard import scenarios
from dlmsite.operations.models import ScenarioRun


@never_cache
@ensure_csrf_cookie
@require_safe
def ring(request: HttpRequest) -> HttpResponse:
    """Show the ring to whoever may see it."""
    if not can_view(request.user):
        raise PermissionDenied
    runs = ScenarioRun.objects.all()
    context = {
        "can_operate": can_operate(request.user),
        "to_try": scenarios.described(),
        "tried": runs.filter(who=request.user.get_username()).exists(),
        "run_known": runs.exists(),
    }
    return render(request, "dashboard/ring.html", context)


@never_cache
@ensure_csrf_cookie
@require_safe
def charts(request: HttpRequest) -> HttpResponse:
    """Show how the nodes did over time to whoever may see it."""
    if not can_view(request.user):
        raise PermissionDenied
    return render(request, "dashboard/charts.html", {"can_operate": can_operate(request.user)})
