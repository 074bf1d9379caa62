"""Refusals as application/problem+json (RFC 9457): what is wrong, and what to do.

Elsewhere: who refuses (api).
"""

from http import HTTPStatus

from django.http import JsonResponse


class Refusal(Exception):  # noqa: N818 - an answer, not an error
    """The request cannot be granted."""

    def __init__(self, status: HTTPStatus, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail

    def response(self) -> JsonResponse:
        """Return the answer."""
        body = {"title": self.title, "detail": self.detail, "status": int(self.status)}
        return JsonResponse(body, status=self.status, content_type="application/problem+json")
