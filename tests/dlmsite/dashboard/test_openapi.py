"""The API's document is true: of every address, of every parameter, of every answer on a real journal."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from django.test import Client
from jsonschema import Draft202012Validator, ValidationError
from openapi_spec_validator import validate

from dlmsite.dashboard import finding, openapi, picture
from dlmsite.operations import asking
from tests.dlmsite.dashboard.conftest import add_events, hold
from tests.dlmsite.dashboard.test_inspecting import SEEN

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cluster")]

AsUser = Callable[[str], Client]


def strict(schema: Any) -> Any:
    """Return a schema that lets nothing through that it does not name: for us, not for readers."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: strict(part) for name, part in schema.items()}
    return {**found, "additionalProperties": False} if "properties" in schema and "type" in schema else found


def check(path: str, method: str, response: Any) -> None:
    """Compare an answer with what the document says of it."""
    said = openapi.document()["paths"][path][method]["responses"][str(response.status_code)]["content"]
    media = response["Content-Type"].split(";")[0]
    schema = {**said[media]["schema"], "components": openapi.document()["components"]}
    Draft202012Validator(strict(deepcopy(schema))).validate(json.loads(response.content))


def test_every_address_of_the_api_is_described() -> None:
    """Put `Operation(...)` beside the view: see dlmsite.dashboard.openapi."""
    api = [place for place in openapi.walk() if place.path.startswith("/api/")]
    assert api
    assert [place.path for place in api if not place.operations] == []


def test_the_document_is_openapi() -> None:
    validate(openapi.document())


def test_the_document_is_served_to_who_may_see(as_user: AsUser) -> None:
    response = as_user("eve").get("/api/openapi.json")
    assert response.json() == json.loads(json.dumps(openapi.document()))
    assert Client().get("/api/openapi.json").status_code == 401


@pytest.mark.parametrize("path", ["/api/snapshot/", "/api/events/", "/api/openapi.json"])
def test_answers_are_as_the_document_says(as_user: AsUser, path: str) -> None:
    add_events(3)
    hold("k")
    check(path, "get", as_user("eve").get(path))


def test_answers_that_nodes_give_are_as_the_document_says(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    async def owner(address: str, key: str) -> tuple[str, int]:
        del address, key
        return "ada", 1 << 60

    async def key(address: str, key: str) -> Any:
        del address, key
        return SEEN

    async def sessions(addresses: list[str]) -> Any:
        return dict.fromkeys(addresses)

    monkeypatch.setattr(finding, "ask_owner", owner)
    monkeypatch.setattr(asking, "ask_key", key)
    monkeypatch.setattr(asking, "ask_sessions", sessions)
    client = as_user("eve")
    check("/api/find/", "get", client.get("/api/find/?key=k"))
    check("/api/key/", "get", client.get("/api/key/?key=k"))
    check("/api/sessions/", "get", client.get("/api/sessions/"))


@pytest.mark.parametrize(
    ("path", "said", "body"),
    [
        ("/api/nodes/", "/api/nodes/", {}),
        ("/api/nodes/n1/pause/", "/api/nodes/{label}/{what}/", {"seconds": 5}),
        ("/api/nodes/n9/kill/", "/api/nodes/{label}/{what}/", {}),
        ("/api/rehearsal/", "/api/rehearsal/", {"seconds": 15, "nodes": 3, "seed": 1}),
        ("/api/rehearsal/stop/", "/api/rehearsal/stop/", {}),
        ("/api/workload/", "/api/workload/", {"on": True}),
        ("/api/workload/", "/api/workload/", {"on": 3}),
    ],
)
def test_what_is_asked_and_answered_is_as_the_document_says(
    as_user: AsUser, path: str, said: str, body: dict[str, Any]
) -> None:
    response = as_user("ada").post(path, body, content_type="application/json")
    check(said, "post", response)
    asked = openapi.document()["paths"][said]["post"].get("requestBody")
    if asked and response.status_code == 202:
        Draft202012Validator(asked["content"]["application/json"]["schema"]).validate(body)


def test_refusals_are_as_the_document_says(as_user: AsUser) -> None:
    check("/api/events/", "get", as_user("eve").get("/api/events/?limit=0"))
    check("/api/events/", "get", as_user("nobody").get("/api/events/"))
    check("/api/events/", "get", Client().get("/api/events/"))
    check("/api/events/", "get", as_user("eve").delete("/api/events/"))
    check("/api/find/", "get", as_user("eve").get("/api/find/?key=k"))


def test_what_a_parameter_says_is_what_is_taken(as_user: AsUser) -> None:
    """O1, from the outside: the first and last values of the document pass, those beside them do not."""
    client = as_user("eve")
    for place in openapi.walk():
        operation = place.operations.get("get")
        if operation is None or not place.path.startswith("/api/events/"):
            continue
        for parameter in operation.parameters:
            schema = parameter.schema
            if schema["type"] != "integer":
                continue
            for value, status in ((schema["minimum"], 200), (schema["maximum"], 200), (schema["maximum"] + 1, 400)):
                assert client.get(f"{place.path}?{parameter.name}={value}").status_code == status, (place.path, value)


def test_this_check_can_fail(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    add_events(1)
    event_of = picture.event_of
    monkeypatch.setattr(picture, "event_of", lambda row, labels: {**event_of(row, labels), "generation": 7})
    with pytest.raises(ValidationError):
        check("/api/events/", "get", as_user("eve").get("/api/events/"))
    monkeypatch.setattr(picture, "event_of", lambda row, labels: {**event_of(row, labels), "more": ""})
    with pytest.raises(ValidationError):
        check("/api/events/", "get", as_user("eve").get("/api/events/"))
