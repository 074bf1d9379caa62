"""The pages: the ring, and how the nodes did over time.

Elsewhere: what fills them (static/js/main.js and charts.js, consumers, api).
"""

from django.http import HttpRequest, HttpResponse

from dlmsite.dashboard import pages, scenarios
from dlmsite.operations.models import ScenarioRun


@pages.served
def ring(request: HttpRequest) -> HttpResponse:
    """Show the ring to whoever may see it."""
    runs = ScenarioRun.objects.all()
    return pages.show(
        request,
        "dashboard/ring.html",
        to_try=scenarios.described(),
        tried=runs.filter(who=request.user.get_username()).exists(),
        run_known=runs.exists(),
    )


@pages.served
def charts(request: HttpRequest) -> HttpResponse:
    """Show how the nodes did over time to whoever may see it."""
    return pages.show(request, "dashboard/charts.html")
