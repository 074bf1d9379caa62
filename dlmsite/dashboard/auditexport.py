"""The filtered history as a file, CSV or NDJSON, streamed: oldest first, up to the newest event when it began.

Each piece is a query of its own (auditquery), so no transaction lasts and memory is one piece, however long the file.
The last line says that it is the last, and how many rows there are: a file without it was cut off.

Invariants
  X1  No cell of a CSV file begins as a formula would: what people chose (keys, owners) comes after an apostrophe then.
  X2  A file ends with a line that says "end", or "cut" and why; or it was cut off on its way.
  X3  At most RUNNING_MAX exports at once in a process; at most JOBS_KEPT are remembered for their progress.
Elsewhere: what is looked for (auditfilter).
"""

import csv
import io
import json
import logging
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from dlmsite.dashboard import audit, auditquery, picture
from dlmsite.dashboard.auditfilter import PARAMETERS, Filter, as_utc, read_filter
from dlmsite.dashboard.gate import answer, json_view
from dlmsite.dashboard.openapi import Operation
from dlmsite.dashboard.parameters import Choice, Text
from dlmsite.dashboard.problems import Refusal
from dlmsite.dashboard.shapes import COUNT, NUMBER, WIDE, obj, one_of, told
from dlmsite.journal.models import LockEvent

log = logging.getLogger(__name__)

PIECE_ROWS: Final = 2_000
RUNNING_MAX: Final = 4
JOBS_KEPT: Final = 100
SILENT_S: Final = 60.0
"""An export that has made no step for so long has no reader any more."""
COLUMNS: Final = (
    "id", "time", "wall_ns", "node", "label", "kind", "key", "owner", "generation", "seq", "view", "version", "peer",
    "detail", "ttl_ms", "renewals", "session", "incarnation", "number", "place", "seal",
)  # fmt: skip
FORMULA: Final = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""What spreadsheets take for the beginning of a formula, the full-width forms included."""

_NUMBER: Final = re.compile(r"-?\d+", re.ASCII)

FORMAT: Final = Choice("format", "Kind of file.", ("csv", "ndjson"), required=True)
JOB: Final = Text("job", "A name of your choice, to ask for its progress with.", chars_max=64)
JOB_NEEDED: Final = Text("job", "The name that the export was given.", chars_max=64, required=True)
MEDIA: Final = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
PROGRESS: Final = obj(
    state=one_of("running", "done", "cut", "unknown"), rows=COUNT,
    share=told(NUMBER, "of the history that was looked through, 0 to 1"), through=WIDE, last_id=WIDE,
)  # fmt: skip
BUSY: Final = {HTTPStatus.TOO_MANY_REQUESTS: "Too often, or too many exports run already. Try again later."}

Row = dict[str, Any]


@dataclass(slots=True)
class Job:
    """One export.

    Attributes:
        first_id: of the oldest event that there was when it began.
        last_id: of the newest one, with which it ends.
        through: id up to which was looked.
        moved_s: monotonic, when it made its last step.
    """

    asked: Filter
    first_id: int
    last_id: int
    through: int = 0
    rows: int = 0
    state: str = "running"
    moved_s: float = field(default_factory=time.monotonic)

    @property
    def share(self) -> float:
        """How much of the history was looked through, 0 to 1."""
        whole = self.last_id - self.first_id + 1
        return 1.0 if self.state == "done" or whole <= 0 else max(0.0, (self.through - self.first_id + 1) / whole)


_jobs: "OrderedDict[tuple[str, str], Job]" = OrderedDict()


@json_view(
    "GET",
    Operation("The filtered history as a file.", None, (FORMAT, JOB, *PARAMETERS), media="text/csv", problems=BUSY),
)
def export(request: HttpRequest) -> StreamingHttpResponse:
    """Stream a file of all events that match."""
    kind, name = FORMAT.read(request), JOB.read(request)
    asked = read_filter(request, audit.addresses())
    ends = auditquery.ends()
    job = Job(asked, ends[0].pk if ends else 1, ends[1].pk if ends else 0)
    _remember((request.user.get_username(), name or f"{id(job)}"), job)
    labels = picture.node_labels()
    body = stream(job, (csv_writer if kind == "csv" else ndjson_writer)(), labels)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return StreamingHttpResponse(
        body,
        content_type=MEDIA[kind],
        headers={
            "Content-Disposition": f'attachment; filename="lockring-events-{stamp}.{kind}"',
            "Lockring-First-Id": str(job.first_id),
            "Lockring-Last-Id": str(job.last_id),
        },
    )


@json_view("GET", Operation("How far an export is.", PROGRESS, (JOB_NEEDED,)))
def progress(request: HttpRequest) -> HttpResponse:
    """Return how far an export of the same user is, as far as this process knows."""
    job = _jobs.get((request.user.get_username(), JOB_NEEDED.read(request)))
    if job is None:
        return answer({"state": "unknown", "rows": 0, "share": 0.0, "through": "", "last_id": ""})
    numbers = {"through": str(job.through), "last_id": str(job.last_id)}
    return answer({"state": job.state, "rows": job.rows, "share": round(job.share, 4), **numbers})


@dataclass(frozen=True, slots=True)
class Writer:
    """How rows become bytes.

    Attributes:
        begin: the first bytes of a file.
        rows: of some rows.
        end: the last line: its word ("end", "cut"), how many rows, and what else there is to say.
    """

    begin: bytes
    rows: Callable[[Iterable[Row]], bytes]
    end: Callable[[str, int, str], bytes]


async def stream(job: Job, writer: Writer, labels: dict[str, str]) -> AsyncIterator[bytes]:
    """Yield a file, piece by piece. Closing it early is no error: the reader has gone."""
    job.through = job.first_id - 1
    try:
        yield writer.begin
        more = job.last_id >= job.first_id
        while more:
            found = await sync_to_async(_piece)(job)
            job.rows += len(found.rows)
            job.through, job.moved_s, more = found.through, time.monotonic(), found.more
            if found.rows:
                yield writer.rows(row_of(row, labels) for row in found.rows)
        yield writer.end("end", job.rows, f"complete, ids {job.first_id} to {job.last_id}")
        job.state = "done"
    except DatabaseError as error:
        log.warning("an export was cut off: %s", error)
        yield writer.end("cut", job.rows, f"the journal could not be read beyond id {job.through}")
    finally:
        if job.state != "done":
            job.state = "cut"


def _piece(job: Job) -> auditquery.Page:
    return auditquery.page(job.asked, PIECE_ROWS, after=job.through, before=job.last_id + 1)


def row_of(row: LockEvent, labels: dict[str, str]) -> Row:
    """Return a row as a file has it: COLUMNS, 64-bit numbers as text."""
    event = picture.event_of(row, labels)
    more = {
        "time": as_utc(row.wall_ns),
        "wall_ns": str(row.wall_ns),
        "incarnation": str(row.incarnation),
        "number": str(row.number),
        "place": picture.wide(row.place or 0),
        "seal": bytes(row.seal or b"").hex(),
    }
    return {name: more[name] if name in more else event[name] for name in COLUMNS}


def csv_writer() -> Writer:
    """Return what writes CSV (RFC 4180), with a line of names."""

    def lines(rows: Iterable[Iterable[Any]]) -> bytes:
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        return text.getvalue().encode(errors="replace")

    return Writer(
        lines([COLUMNS]),
        lambda rows: lines([harmless(value) for value in row.values()] for row in rows),
        lambda word, count, says: lines([[f"#{word}", f"{count} rows", says]]),
    )


def ndjson_writer() -> Writer:
    """Return what writes a JSON object per line. Events have no "type"; the last line has."""

    def line(value: Row) -> str:
        return json.dumps(value, separators=(",", ":")) + "\n"

    return Writer(
        b"",
        lambda rows: "".join(map(line, rows)).encode(),
        lambda word, count, says: line({"type": word, "rows": count, "says": says}).encode(),
    )


def harmless(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula (X1); numbers stay as they are."""
    if not isinstance(value, str) or not value or _NUMBER.fullmatch(value):
        return value
    first = value.lstrip(" ")[:1]
    return f"'{value}" if first in FORMULA or value[0] in FORMULA else value


def _remember(key: tuple[str, str], job: Job) -> None:
    now_s = time.monotonic()
    running = sum(other.state == "running" and now_s - other.moved_s < SILENT_S for other in _jobs.values())
    if running >= RUNNING_MAX:
        text = f"{running} exports are running already. Wait for one to end, or narrow the filter."
        raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "Too many exports", text)
    _jobs.pop(key, None)
    _jobs[key] = job
    while len(_jobs) > JOBS_KEPT:
        _jobs.popitem(last=False)
