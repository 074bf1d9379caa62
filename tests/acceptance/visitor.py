"""Somebody at the site's port who keeps no rules: plain HTTP with cookies, and WebSocket frames byte by byte.

Elsewhere: what is tried with it (test_bad_visitors.py), people with a real browser (test_page.py).
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import socket
import struct
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any

PATIENCE_S = 20.0
TEXT, BINARY, CLOSE = 0x1, 0x2, 0x8
FINAL, MASKED = 0x80, 0x80


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    kind: str
    text: str
    location: str = ""

    @property
    def json(self) -> Any:
        """The body, where it is JSON."""
        return json.loads(self.text)


class Visitor:
    """One browser profile: cookies and the CSRF token that a page told."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}
        self.csrf = ""
        self.heard: list[str] = []

    @property
    def origin(self) -> str:
        """What a page of this site sends as Origin."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def cookie(self) -> str:
        """The Cookie header."""
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def log_in(self, link: str) -> None:
        """Use a login link up, as its page does."""
        path = link[link.index("/login/") :]
        page = self.ask("GET", path)
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert found, page
        done = self.ask("POST", path, f"csrfmiddlewaretoken={found.group(1)}", kind="application/x-www-form-urlencoded")
        assert done.status == 302, done
        token = re.search(r'name="csrf-token" content="([^"]+)"', self.ask("GET", "/").text)
        assert token
        self.csrf = token.group(1)

    def post(self, path: str, body: str = "", **headers: str) -> Answer:
        """POST as the page does; `headers` add to or replace what it sends."""
        return self.ask("POST", path, body, headers={"X-CSRFToken": self.csrf, "Origin": self.origin} | headers)

    def ask(
        self,
        method: str,
        path: str,
        body: str = "",
        *,
        kind: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Ask once; no redirect is followed."""
        sent = {"Cookie": self.cookie, "Content-Type": kind} | (headers or {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body.encode(), sent)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        finally:
            connection.close()
        for header in response.headers.get_all("Set-Cookie", []):
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(header).items()}
        self.heard.append(text)
        return Answer(response.status, response.headers.get_content_type(), text, response.headers.get("Location", ""))

    def open_socket(self, path: str = "/ws/live/", **headers: str) -> WebSocket:
        """Ask for the live socket; see its `status`."""
        return WebSocket(self, path, {"Origin": self.origin, "Cookie": self.cookie} | headers)


class WebSocket:
    """A WebSocket that sends whatever it is told."""

    def __init__(self, visitor: Visitor, path: str, headers: dict[str, str]) -> None:
        self._visitor = visitor
        self._socket = socket.create_connection(("127.0.0.1", visitor.port), timeout=PATIENCE_S)
        self._bytes = self._socket.makefile("rb")
        lines = {
            "Host": f"127.0.0.1:{visitor.port}",
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }
        text = "".join(f"{name}: {value}\r\n" for name, value in (lines | headers).items() if value)
        self._socket.sendall(f"GET {path} HTTP/1.1\r\n{text}\r\n".encode())
        self.status = int((self._bytes.readline() or b"HTTP/1.1 0").split()[1])
        while self.status and self._bytes.readline().strip():
            pass

    def send(self, payload: bytes, opcode: int = TEXT, first: int = FINAL) -> None:
        """Send one frame with a mask of zeros; `first` are the other bits of its first byte."""
        size = len(payload)
        if size < 126:
            length = struct.pack("!B", MASKED | size)
        elif size < 1 << 16:
            length = struct.pack("!BH", MASKED | 126, size)
        else:
            length = struct.pack("!BQ", MASKED | 127, size)
        self.send_raw(bytes([first | opcode]) + length + bytes(4) + payload)

    def send_raw(self, data: bytes) -> None:
        """Send bytes that may be no frame at all."""
        self._socket.sendall(data)

    def next_of(self, kind: str) -> Any:
        """Return the next message of a type; others pass by."""
        while True:
            opcode, payload = self._frame()
            assert opcode == TEXT, f"the socket ended: {payload!r}"
            message = json.loads(payload)
            if message["type"] == kind:
                return message

    def closing_code(self) -> int:
        """Return the code of the close frame; 0 if the connection just ended."""
        try:
            while (frame := self._frame())[0] != CLOSE:
                pass
        except (ConnectionError, EOFError):
            return 0
        return int.from_bytes(frame[1][:2], "big")

    def _frame(self) -> tuple[int, bytes]:
        opcode, length = self._read(2)
        if length == 126:
            length = int.from_bytes(self._read(2), "big")
        elif length == 127:
            length = int.from_bytes(self._read(8), "big")
        payload = self._read(length)
        self._visitor.heard.append(payload.decode(errors="replace"))
        return opcode & 0x0F, payload

    def _read(self, count: int) -> bytes:
        data = self._bytes.read(count)
        if len(data) < count:
            raise EOFError
        return data

    def close(self) -> None:
        """Hang up without a word."""
        self._bytes.close()
        self._socket.close()
