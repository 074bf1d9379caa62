"""An interval of the history as one HTML page that replays without a server, streamed.

    head with its policy and style | markup | data, piece by piece | the page's own modules as one script

The data stands in elements that no browser runs; the script comes last, so that a file which was cut off does not
pretend to be whole: it shows the sentence that the script would have removed.

Invariants
  F1  The file's policy lets nothing in or out: no source, only the one style and the one script, by their hashes.
  F2  What people chose (keys, owners, labels) is data: it cannot end its element, and the script writes it as text.
  F3  At most RUNNING_MAX files are made at once in a process, each in pieces: memory is one piece and the beginning.
Elsewhere: what is in it (incident), replaying it (static/js/incident*.js), from a shell (management/commands).
"""

import base64
import hashlib
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.contrib.staticfiles import finders
from django.db import DatabaseError
from django.http import HttpRequest, StreamingHttpResponse
from django.template.loader import render_to_string

from dlmsite.dashboard import incident
from dlmsite.dashboard.auditexport import BUSY
from dlmsite.dashboard.auditfilter import Moment, as_utc
from dlmsite.dashboard.bundle import bundle
from dlmsite.dashboard.gate import json_view
from dlmsite.dashboard.incident import Interval
from dlmsite.dashboard.openapi import Operation
from dlmsite.dashboard.problems import Refusal

log = logging.getLogger(__name__)

RUNNING_MAX: Final = 2
ENTRY: Final = "js/incident.js"
STYLES: Final = ("css/base.css", "css/ring.css", "css/incident.css")
DATA_GOES_HERE: Final = "<!-- data -->"
SCRIPT_GOES_HERE: Final = "<!-- script -->"
FROM: Final = Moment("from", "Where the interval begins.", required=True)
TO: Final = Moment("to", "Where it ends.", required=True)
NOTHING: Final = {HTTPStatus.NOT_FOUND: "Nothing is recorded of this interval; `detail` says what is."}

_running: set[int] = set()


@json_view(
    "GET",
    Operation(
        "An interval as one HTML page that replays without a server.",
        None,
        (FROM, TO),
        media="text/html",
        problems={**BUSY, **NOTHING},
    ),
)
def download(request: HttpRequest) -> StreamingHttpResponse:
    """Stream an incident file."""
    asked = incident.interval(FROM.read(request), TO.read(request), request.user.get_username())
    if len(_running) >= RUNNING_MAX:
        text = f"{RUNNING_MAX} incident files are being made already. Try again when one is done."
        raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "Too many incident files", text)
    script()  # what is wrong with it is to be said now, not in the middle of a file
    return StreamingHttpResponse(
        _stream(asked),
        content_type="text/html; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{file_name(asked)}"'},
    )


def file_name(asked: Interval) -> str:
    """Return a name for the file that sorts by time."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(asked.from_ns // 10**9))
    return f"lockring-incident-{stamp}.html"


def parts(asked: Interval) -> Iterator[bytes]:
    """Yield the file, piece by piece."""
    before, after = _shell(as_utc(asked.from_ns), as_utc(asked.to_ns))
    yield before
    yield data("head", incident.beginning(asked))
    for piece in incident.pieces(asked):
        yield data("events", piece)
    yield data("end", incident.rest(asked))
    yield after


def data(part: str, value: Any) -> bytes:
    """Return a value as an element that no browser runs (F2)."""
    text = json.dumps(value, separators=(",", ":"))  # ASCII: no U+2028 either
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return f'<script type="application/json" data-part="{part}">{text}</script>\n'.encode()


def policy(script: str, style: str) -> str:
    """Return the file's content security policy (F1)."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; base-uri 'none'; "
        "form-action 'none'"
    )


def script() -> str:
    """Return what replays the file: the page's own modules as one script."""
    return bundle(ENTRY, _read)


async def _stream(asked: Interval) -> AsyncIterator[bytes]:
    """Yield the file. Closing it early is no error: the reader has gone."""
    _running.add(id(asked))
    try:
        some = parts(asked)
        while piece := await sync_to_async(_next)(some):
            yield piece
    except DatabaseError as error:
        log.warning("an incident file was cut off: %s", error)
    finally:
        _running.discard(id(asked))


def _next(some: Iterator[bytes]) -> bytes:
    return next(some, b"")


def _shell(begins: str, ends: str) -> tuple[bytes, bytes]:
    """Return what comes before and after the data."""
    code, style = script(), "\n".join(map(_static, STYLES))  # read once: hashes are of what is there
    page = render_to_string("dashboard/incident.html", {"policy": policy(code, style), "begins": begins, "ends": ends})
    text = page.replace("<!-- style -->", f"<style>{style}</style>")
    before, after = text.split(DATA_GOES_HERE)
    return before.encode(), after.replace(SCRIPT_GOES_HERE, f"<script>{code}</script>").encode()


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _read(path: str) -> str:
    """Return a module: ours by its path among the static files, D3's by its bare name."""
    return _static(path if path.endswith(".js") else f"vendor/{path}/{path}.mjs")


def _static(name: str) -> str:
    found = finders.find(name)
    if not isinstance(found, str):
        raise FileNotFoundError(f"the static file {name} is not there: run `make install`")
    return Path(found).read_text(encoding="utf-8")
