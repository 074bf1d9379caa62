"""The site as an ASGI application: pages over HTTP, live updates over WebSocket.

`application` serves under Daphne inside `manage.py up`, or under any other ASGI server.

Elsewhere: URLs (dlmsite.urls), sockets (dlmsite.dashboard.routing), the door for sockets (dlmsite.origin).
"""

import os
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import re_path


def build_application() -> Any:
    """Load Django, then join its pages with our sockets."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlmsite.settings")
    pages = get_asgi_application()
    # Consumers import models, which only exist once Django has loaded.
    from dlmsite.dashboard.routing import websocket_urlpatterns  # noqa: PLC0415
    from dlmsite.origin import NoSuchSocket, SameOriginOnly  # noqa: PLC0415

    sockets = URLRouter([*websocket_urlpatterns, re_path(r"", NoSuchSocket.as_asgi())])
    return ProtocolTypeRouter({"http": pages, "websocket": SameOriginOnly(AuthMiddlewareStack(sockets))})


application = build_application()
