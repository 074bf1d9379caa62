"""What may come to the page's port of a real cluster, and the clear answer that each of it gets.

Elsewhere: the gRPC ports (test_bad_input.py), people who mean well (test_page.py), each view by itself
(tests/dlmsite/dashboard).
"""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

import lockcore
from lockcore.core.messages import Granted
from tests.acceptance.running import Running, settled, wait_for
from tests.acceptance.visitor import BINARY, TEXT, Visitor, WebSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.acceptance

PROTOCOL_ERROR, NOT_UTF_8, TOO_BIG = 1002, 1007, 1009


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with settled(tmp_path_factory.mktemp("bad-visitors") / "data", "--no-workload") as running:
        yield running


@pytest.fixture(scope="module")
def ada(cluster: Running) -> Visitor:
    """An operator."""
    visitor = Visitor(cluster.port)
    visitor.log_in(cluster.login_link())
    return visitor


@pytest.fixture(scope="module")
def vic(cluster: Running) -> Visitor:
    """A viewer."""
    visitor = Visitor(cluster.port)
    visitor.log_in(cluster.invite("vic", "viewer"))
    return visitor


@pytest.fixture
def stranger(cluster: Running) -> Visitor:
    """Nobody."""
    return Visitor(cluster.port)


@pytest.fixture(autouse=True)
def _serves_on(cluster: Running) -> Iterator[None]:
    yield
    assert cluster.process.poll() is None
    assert "Traceback" not in cluster.logged()


def actions(cluster: Running) -> list[tuple[Any, ...]]:
    """Return what is recorded of operators' wishes, the newest first."""
    return cluster.rows("SELECT who, what, target, state, detail FROM operations_operatoraction ORDER BY id DESC")


def test_a_stranger_sees_nothing_but_the_login(stranger: Visitor) -> None:
    answer = stranger.ask("GET", "/")
    assert answer.status == 302
    assert answer.location.startswith("/login/?next=")


@pytest.mark.parametrize("path", ["snapshot/", "events/", "find/?key=k", "nodes/n1/kill/", "nothing"])
def test_a_strangers_program_is_told_what_it_lacks(stranger: Visitor, path: str) -> None:
    answer = stranger.ask("GET", f"/api/{path}")
    assert answer.status == 401
    assert "Authorization: Bearer" in answer.json["detail"]


@pytest.mark.parametrize("path", ["/api/nodes/", "/api/nodes/n1/kill/", "/api/workload/"])
def test_a_strangers_post_is_refused_with_and_without_a_csrf_token(
    cluster: Running, stranger: Visitor, path: str
) -> None:
    before = actions(cluster)
    assert stranger.post(path).status == 401
    stranger.ask("GET", "/login/")
    answer = stranger.post(path, **{"X-CSRFToken": stranger.cookies[f"lockring_{cluster.port}_csrf"]})
    assert answer.status == 401
    assert actions(cluster) == before


def test_a_viewers_post_is_refused_and_recorded(cluster: Running, vic: Visitor) -> None:
    answer = vic.post("/api/nodes/n1/kill/")
    assert answer.status == 403
    assert "only an operator may act" in answer.json["detail"]
    assert actions(cluster)[0][:4] == ("vic", "kill", "n1", "failed")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-CSRFToken": ""},
        {"X-CSRFToken": "a" * 64},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
    ],
)
def test_a_forged_post_is_refused_and_says_to_load_the_page_again(
    cluster: Running, ada: Visitor, headers: dict[str, str]
) -> None:
    before = actions(cluster)
    answer = ada.post("/api/nodes/n1/kill/", **headers)
    assert answer.status == 403
    assert "Load the page again" in answer.text
    assert actions(cluster) == before


def test_a_foreign_host_name_is_told_how_names_are_added(ada: Visitor) -> None:
    answer = ada.post("/api/nodes/n1/kill/", Host="evil.example")
    assert answer.status == 400
    assert "LOCKRING_ALLOWED_HOSTS" in answer.text


@pytest.mark.parametrize(
    "label", ["n9", "%3Cimg%20src=x%20onerror=alert(1)%3E", "x" * 3_000, "n1%00", "..", "%F0%9F%94%92"]
)
def test_a_post_for_a_node_that_never_was_says_where_to_look(cluster: Running, ada: Visitor, label: str) -> None:
    answer = ada.post(f"/api/nodes/{label}/kill/")
    assert answer.status == 404
    assert answer.kind == "application/problem+json", "markup in a name is never a page"
    assert "Look at the table of nodes" in answer.json["detail"]
    who, what, target, state, _ = actions(cluster)[0]
    assert (who, what, state) == ("operator", "kill", "failed")
    assert len(target) <= 64


def test_a_post_for_a_node_that_is_gone_says_so(cluster: Running, ada: Visitor) -> None:
    added = ada.post("/api/nodes/")
    assert added.status == 202
    cluster.wait_settled(4)
    assert ada.post("/api/nodes/n4/stop/").status == 202
    cluster.wait_settled(3)

    def told() -> str:
        answer = ada.post("/api/nodes/n4/kill/")
        return str(answer.json["detail"]) if answer.status == 409 else ""

    # Before that, the stop itself is still under way, and that is what is told.
    wait_for(lambda: "n4 is not running: it was stopped" in told(), "the stop to have ended")


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"on": 1}', "[" * 20_000])
def test_a_body_that_means_nothing_is_told_what_would(ada: Visitor, body: str) -> None:
    answer = ada.post("/api/workload/", body)
    assert answer.status == 400
    assert answer.json["detail"] == 'Say {"on": true} or {"on": false}.'


def test_a_body_that_is_too_large_is_told_the_bound(ada: Visitor, stranger: Visitor) -> None:
    answer = ada.post("/api/workload/", "x" * 70_000)
    assert answer.status == 413
    assert "at most 65,536 bytes" in answer.json["detail"]
    stranger.ask("GET", "/login/")
    form = stranger.ask("POST", "/login/", "a=" + "x" * 70_000, kind="application/x-www-form-urlencoded")
    assert form.status == 400
    assert "too large" in form.text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("find/", "Say which key"),
        ("find/?key=" + "k" * 5_000, "at most 4,096 bytes"),
        ("events/?limit=0", "limit must be a whole number"),
        ("events/?limit=100000", "limit must be a whole number"),
        ("events/?before=%D9%A3", "before must be a whole number"),
        ("events/?kind=%3Cb%3E", "choose one of granted"),
    ],
)
def test_a_bad_question_is_told_what_is_asked_for(ada: Visitor, query: str, words: str) -> None:
    answer = ada.ask("GET", "/api/" + query)
    assert answer.status == 400
    assert words in answer.json["detail"]


@pytest.mark.parametrize(
    "data", [b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: z\r\n\r\n", b"\x16\x03\x01\x02\x00"]
)
def test_bytes_that_are_no_http_end_only_their_own_connection(cluster: Running, ada: Visitor, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", cluster.port), timeout=10) as raw:
        raw.sendall(data + os.urandom(200) + b"\r\n\r\n")
    assert ada.ask("GET", "/").status == 200


# --- the live socket --------------------------------------------------------------------------------------------------


@pytest.fixture
def live(ada: Visitor) -> Iterator[WebSocket]:
    opened = ada.open_socket()
    assert opened.next_of("hello")["can_operate"]
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": ""},
        {"Cookie": "lockring_session=x"},
        {"Origin": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_a_socket_without_login_or_from_elsewhere_is_refused(ada: Visitor, headers: dict[str, str]) -> None:
    refused = ada.open_socket(**headers)
    assert refused.status == 403
    refused.close()


def test_a_socket_that_leads_nowhere_is_refused(ada: Visitor) -> None:
    refused = ada.open_socket("/ws/elsewhere/")
    assert refused.status == 403
    refused.close()


@pytest.mark.parametrize("after", ["x", "-1", "9" * 40, "%00", ""])
def test_a_nonsensical_last_event_counts_as_none(ada: Visitor, after: str) -> None:
    opened = ada.open_socket(f"/ws/live/?after={after}")
    assert opened.next_of("snapshot")["nodes"]
    opened.close()


@pytest.mark.parametrize(
    "message", [b"{", b"", b"[]", b"null", b'{"type":"kill"}', b'{"type":{}}', b"x" * 5_000, b"[" * 60_000]
)
def test_a_message_that_means_nothing_is_explained_and_the_socket_stays(live: WebSocket, message: bytes) -> None:
    live.send(message)
    assert 'Send {"type":"ping"}' in live.next_of("error")["detail"]
    live.send(message, opcode=BINARY)
    assert "Binary messages" in live.next_of("error")["detail"]
    live.send(b'{"type":"ping"}')
    assert live.next_of("pong")


def oversized_header(socket_: WebSocket) -> None:
    """Announce a frame of 2^62 bytes."""
    socket_.send_raw(bytes([0x81, 0xFF]) + (1 << 62).to_bytes(8, "big") + bytes(4) + b"x" * 100)


@pytest.mark.parametrize(
    ("violate", "code"),
    [
        (lambda s: s.send(b"\xff\xfe"), NOT_UTF_8),
        (lambda s: s.send(b"x" * 3_000_000), TOO_BIG),
        (oversized_header, TOO_BIG),
        (lambda s: s.send(b"a", first=0xF0), PROTOCOL_ERROR),
        (lambda s: s.send(b"a", opcode=0x3), PROTOCOL_ERROR),
        (lambda s: s.send(b"a", opcode=0x0), PROTOCOL_ERROR),
        (lambda s: s.send(b"x" * 200, opcode=0x9), PROTOCOL_ERROR),
        (lambda s: s.send_raw(b"\x81\x01a"), PROTOCOL_ERROR),
    ],
    ids=["not UTF-8", "oversized", "huge header", "reserved bits", "opcode", "continuation", "long ping", "no mask"],
)
def test_a_frame_that_breaks_the_protocol_ends_its_socket_with_a_code(
    ada: Visitor, live: WebSocket, violate: Callable[[WebSocket], None], code: int
) -> None:
    rude = ada.open_socket()
    rude.next_of("hello")
    violate(rude)
    assert rude.closing_code() == code
    rude.close()
    live.send(b'{"type":"ping"}', opcode=TEXT)
    assert live.next_of("pong")


def test_sockets_that_vanish_half_way_leave_nothing_behind(cluster: Running, ada: Visitor, live: WebSocket) -> None:
    for _ in range(20):
        opened = ada.open_socket()
        opened.send_raw(b"\x81")
        opened.close()
        with socket.create_connection(("127.0.0.1", cluster.port), timeout=10) as raw:
            raw.sendall(b"GET /ws/live/ HTTP/1.1\r\nHost: x")
    live.send(b'{"type":"ping"}')
    assert live.next_of("pong")


# --- what must not be told --------------------------------------------------------------------------------------------


def test_no_token_or_secret_reaches_a_browser(cluster: Running, ada: Visitor, live: WebSocket, vic: Visitor) -> None:
    """What was answered to all of the above counts too."""
    with lockcore.connect(cluster.target) as client:
        grant = client.acquire("browser/secret", ttl=20.0, owner="eve")
        assert isinstance(grant, Granted)
        while not any(event["key"] == "browser/secret" for event in live.next_of("delta")["events"]):
            pass
        for path in (
            "/",
            "/api/snapshot/",
            "/api/events/",
            "/api/events/?key=browser/secret",
            "/api/find/?key=browser/secret",
        ):
            assert ada.ask("GET", path).status == 200
        client.unlock("browser/secret", grant.token)
    hidden = [grant.token, "lr1.", (cluster.data / "cluster.secret").read_text().strip()]
    hidden += [(cluster.data / "secret_key").read_text().strip(), ada.cookies[f"lockring_{cluster.port}_session"]]
    heard = "".join(ada.heard + vic.heard)
    assert "browser/secret" in heard
    assert [secret for secret in hidden if secret in heard] == []
    link = cluster.login_link().rstrip("/").rpartition("/")[2]
    files = [path for path in cluster.data.rglob("*") if path.is_file()]
    assert [path for path in files if link.encode() in path.read_bytes()] == []
    assert cluster.logged().count(link) == 1, "where it was told, and nowhere else"
    assert all(cluster.logged().count(secret) == 0 for secret in hidden)


def test_a_used_link_and_a_wrong_one_get_the_same_answer(cluster: Running, stranger: Visitor, ada: Visitor) -> None:
    assert ada.cookies
    used = cluster.login_link()
    answers = [
        stranger.ask("GET", path) for path in (used[used.index("/login/") :], "/login/wrong/", f"/login/{'x' * 3_000}/")
    ]
    assert {answer.status for answer in answers} == {410}
    assert all("manage.py invite" in answer.text for answer in answers)
    assert json.dumps([a.text for a in answers]).count("no longer works") >= 3
