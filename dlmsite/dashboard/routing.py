"""WebSocket routes of the dashboard."""

from typing import Any

from django.urls import path

from dlmsite.dashboard.consumers import LiveConsumer
from dlmsite.dashboard.newsconsumer import NewsConsumer

websocket_urlpatterns: list[Any] = [
    path("ws/live/", LiveConsumer.as_asgi()),
    path("ws/cluster/<str:name>/", NewsConsumer.as_asgi()),
]
