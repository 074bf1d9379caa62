"""What gRPC says of wrong ports, as it was seen, becomes what to do about it."""

from __future__ import annotations

import grpc
import pytest

from lockcore.client.weedwords import meaning_of

ALL = "failed to connect to all addresses; last error: "


@pytest.mark.parametrize(
    ("details", "meaning"),
    [
        (ALL + "UNKNOWN: ipv4:127.0.0.1:9: Failed to connect to remote host: Connection refused", "connection refused"),
        (ALL + "UNAVAILABLE: ipv4:127.0.0.1:42861: Socket closed", "wants TLS"),
        (ALL + "UNKNOWN: connection attempt timed out before receiving SETTINGS frame", "says nothing"),
        (
            ALL + "UNAVAILABLE: ipv4:127.0.0.1:1: Failed parsing HTTP/2 (Expected SETTINGS frame as the first frame, "
            "got frame type 80) (Trying to connect an http1.x server (HTTP status 405))",
            "a port of HTTP",
        ),
        (ALL + "something new", "something new"),
    ],
)
def test_each_failure_to_connect_says_what_it_is(details: str, meaning: str) -> None:
    assert meaning in meaning_of(grpc.StatusCode.UNAVAILABLE, details + "\nand more for programmers")
    assert "programmers" not in meaning_of(grpc.StatusCode.UNAVAILABLE, details + "\nand more for programmers")


def test_a_stranger_is_known_by_its_status() -> None:
    assert "something else" in meaning_of(grpc.StatusCode.UNIMPLEMENTED, "unknown service filer_pb.SeaweedFiler")
    assert meaning_of(grpc.StatusCode.INTERNAL, "oops") == "internal: oops"
