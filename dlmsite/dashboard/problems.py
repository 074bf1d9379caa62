"""A refusal, raised by whoever finds out and answered by the gate: what is wrong, and what to do.

Elsewhere: who refuses (api, actions, asked, parameters), how it looks on the wire (dlmsite.problems).
"""

from http import HTTPStatus

from django.http import JsonResponse

from dlmsite.problems import problem


class Refusal(Exception):  # noqa: N818 - an answer, not an error
    """The request cannot be granted."""

    def __init__(self, status: HTTPStatus, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail

    def response(self) -> JsonResponse:
        """Return the answer."""
        return problem(self.status, self.title, self.detail)


def invalid(detail: str) -> Refusal:
    """Return the refusal of a request that cannot be understood."""
    return Refusal(HTTPStatus.BAD_REQUEST, "Invalid request", detail)
