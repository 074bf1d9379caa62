"""WebSocket routes of the dashboard."""

from typing import Any

websocket_urlpatterns: list[Any] = []
