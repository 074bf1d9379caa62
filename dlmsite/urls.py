"""The site's URLs: the way in, and the dashboard at the root.

Elsewhere: static files (WhiteNoise), sockets (dlmsite.dashboard.routing).
"""

from django.urls import include, path

urlpatterns = [
    path("", include("dlmsite.access.urls")),
    path("", include("dlmsite.dashboard.urls")),
]
