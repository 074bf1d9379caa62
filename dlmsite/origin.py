"""The door for WebSockets: only pages of this very site may open one.

Channels' AllowedHostsOriginValidator compares host names and leaves the port out, but cookies are shared by all ports
of a host: a page of another program on this machine could open a socket with our session. So the Origin must also
equal the Host that the browser spoke to, as Django's CSRF check demands of a POST.

Elsewhere: routes (dlmsite.dashboard.routing), who is logged in (channels.auth), POSTs (Django's CSRF middleware).
"""

from typing import Any
from urllib.parse import urlsplit

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.security.websocket import AllowedHostsOriginValidator, WebsocketDenier


class SameOriginOnly:
    """ASGI middleware: denies the handshake unless Origin names the allowed host and port that was asked."""

    def __init__(self, application: Any) -> None:
        self._allowed = AllowedHostsOriginValidator(application)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        """Pass the handshake on, or refuse it with 403."""
        if is_same_origin(scope.get("headers", [])):
            return await self._allowed(scope, receive, send)
        return await WebsocketDenier()(scope, receive, send)


def is_same_origin(headers: list[tuple[bytes, bytes]]) -> bool:
    """Say whether exactly one Origin is there and names the same host and port as the Host header."""
    origins = [value for name, value in headers if name.lower() == b"origin"]
    hosts = [value for name, value in headers if name.lower() == b"host"]
    if len(origins) != 1 or len(hosts) != 1:
        return False
    try:
        origin = urlsplit(origins[0].decode("ascii"))
    except (UnicodeDecodeError, ValueError):
        return False
    return origin.scheme in {"http", "https"} and origin.netloc.encode() == hosts[0]


class NoSuchSocket(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels ships no types
    """Refuses a WebSocket at a path that leads nowhere; without it every such try would be a traceback in the log."""

    async def connect(self) -> None:
        """Refuse the handshake."""
        await self.close()
