"""The site's URLs: the way in, the admin, and the dashboard at the root.

Elsewhere: static files (WhiteNoise), sockets (dlmsite.dashboard.routing), answers where no view could
(dlmsite.errors).
"""

from django.urls import include, path

from dlmsite.adminsite import site
from dlmsite.languages import words

urlpatterns = [
    path("admin/", site.urls),
    path("words.js", words, name="words"),
    path("", include("dlmsite.access.urls")),
    path("", include("dlmsite.dashboard.urls")),
]

handler400 = "dlmsite.errors.bad_request"
handler403 = "dlmsite.errors.forbidden"
handler404 = "dlmsite.errors.not_found"
handler500 = "dlmsite.errors.server_error"
