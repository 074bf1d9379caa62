"""The API's document, OpenAPI 3.1, made of what stands beside each view.

A view says what it is when it is made: `@json_view("GET", Operation("What it returns.", shape, parameters=(...)))`.
The addresses come from the URL patterns, so nothing is said twice. A test fails for a view below /api/ without one.

Invariants
  O1  What the document says of parameters is what is checked: both read the same objects.
Elsewhere: parameters (parameters), shapes of answers (shapes), the address (api.document).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from typing import Any, Final, TypeVar

from django.urls import URLPattern, URLResolver, get_resolver

from dlmsite.access.tokens import Scope
from dlmsite.dashboard.parameters import Parameter
from dlmsite.dashboard.shapes import COMPONENTS, Schema, ref
from dlmsite.problems import MEDIA_TYPE

VERSION: Final = "0.1.0"
JSON: Final = "application/json"
_CONVERTED: Final = re.compile(r"<(?:[^:>]+:)?([^>]+)>")
V = TypeVar("V", bound=Callable[..., Any])

ALWAYS: Final[Mapping[HTTPStatus, str]] = {
    HTTPStatus.BAD_REQUEST: "A parameter or the body is not understood; `detail` says what would be.",
    HTTPStatus.UNAUTHORIZED: "Neither a session nor a valid token.",
    HTTPStatus.FORBIDDEN: "The role or the token's scope is not enough.",
    HTTPStatus.METHOD_NOT_ALLOWED: "Another method; `Allow` says which.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too often; `Retry-After` says how many seconds to wait.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something broke in the site.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The journal or the cluster cannot answer now. Try again.",
}
"""What may come of any operation."""
INFO: Final = (
    "What the page reads and does, for programs. Errors are application/problem+json (RFC 9457). 64-bit numbers are "
    "decimal text, for some readers' numbers are narrower; times are wall-clock milliseconds, or nanoseconds as text. "
    'Where a member does not apply it is "" or null.'
)


@dataclass(frozen=True, slots=True)
class Operation:
    """What the document says of one view.

    Attributes:
        summary: one sentence.
        answer: the schema of what it returns; None for what is no JSON (`media` says what).
        body: the schema of what is sent; None for none.
        status: of a success.
        scope: what a token needs; None: nobody is asked who they are.
        problems: which it answers beside those that any may, and when.
    """

    summary: str
    answer: Schema | None
    parameters: tuple[Parameter, ...] = ()
    body: Schema | None = None
    status: HTTPStatus = HTTPStatus.OK
    media: str = JSON
    scope: Scope | None = Scope.READ
    problems: Mapping[HTTPStatus, str] = field(default_factory=dict)


def describe(method: str, operation: Operation) -> Callable[[V], V]:
    """Decorate a view that is not made by `json_view`: this is what it does on `method`. May be repeated."""

    def decorate(view: V) -> V:
        said = {**getattr(view, "operations", {}), method.lower(): operation}
        view.operations = said  # type: ignore[attr-defined]  # read by `walk`
        return view

    return decorate


@dataclass(frozen=True, slots=True)
class Place:
    """A URL pattern: its address as the document writes it, its name, and what is said there by method."""

    path: str
    name: str
    operations: Mapping[str, Operation]


def walk(resolver: URLResolver | None = None, prefix: str = "/") -> Iterator[Place]:
    """Yield every URL pattern of the site."""
    for entry in (resolver or get_resolver()).url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from walk(entry, route)
        elif isinstance(entry, URLPattern):
            yield Place(_CONVERTED.sub(r"{\1}", route), entry.name or "", getattr(entry.callback, "operations", {}))


@cache
def document() -> Schema:
    """Return the whole document."""
    paths: Schema = {}
    for place in walk():
        if place.operations:
            paths[place.path] = {method: _said(place, method, said) for method, said in place.operations.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Lockring", "version": VERSION, "description": INFO},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": COMPONENTS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`manage.py token create NAME`"},
                "session": {"type": "apiKey", "in": "cookie", "name": "session", "description": "the page's own"},
            },
        },
    }


def _said(place: Place, method: str, operation: Operation) -> Schema:
    inside = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{([^}]+)}", place.path)
    ]
    asked = [
        {"name": p.name, "in": "query", "required": p.required, "description": p.says, "schema": p.schema}
        for p in operation.parameters
    ]
    said: Schema = {
        "operationId": f"{method}-{place.name}",
        "summary": operation.summary,
        "parameters": [*inside, *asked],
        "responses": _responses(operation),
        "security": [] if operation.scope is None else [{"token": [operation.scope.value]}, {"session": []}],
    }
    if operation.body is not None:
        said["requestBody"] = {"required": False, "content": {JSON: {"schema": operation.body}}}
    return said


def _responses(operation: Operation) -> Schema:
    content: Schema = {operation.media: {} if operation.answer is None else {"schema": operation.answer}}
    found: Schema = {str(int(operation.status)): {"description": operation.summary, "content": content}}
    refused = {**(ALWAYS if operation.scope is not None else {}), **operation.problems}
    for status in sorted(refused):
        problem = {MEDIA_TYPE: {"schema": ref("Problem")}}
        found[str(int(status))] = {"description": refused[status], "content": problem}
    return found
