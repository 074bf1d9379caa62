"""A long history to ask, made once for all figures that ask one, and removed at the end of the program.

    LOCKRING_BENCH_ROWS       how many rows; a million unless it says otherwise
    LOCKRING_BENCH_DATABASE   sqlite, or postgresql: a server of its own is started
    LOCKRING_BENCH_DATA       a folder in which it stays: the next run asks it again

Elsewhere: what is in it (history), who fills and asks it (fill, ask: programs of their own).
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lockcore.testing.ports import claim_ports
from tests.bench.apart import said_by
from tests.bench.report import NotMeasured, Row, at_most, say
from tests.bench.site import PROJECT
from tests.postgres import NoServer, Postgres

ROWS: Final = int(os.environ.get("LOCKRING_BENCH_ROWS", "1000000"))
ROWS_MIN: Final = 200_000
"""Less has not all that is asked for."""
DATABASE: Final = os.environ.get("LOCKRING_BENCH_DATABASE", "sqlite")
DATABASES: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
BOUND_S: Final = 600 + ROWS // 1_000
"""A machine that does other things makes and asks it within this."""
_MADE: Final[list[Filled]] = []


@dataclass(frozen=True, slots=True)
class Filled:
    """Where a history is, and what was said when it was made."""

    folder: Path
    environ: dict[str, str]
    rows: list[Row]

    async def asked(self, what: str) -> list[Row]:
        """Return what a part of the program `ask` says."""
        return told(await _run(self.folder, self.environ, "ask", "--what", what))


def title(what: str) -> str:
    """Return the title of a figure."""
    return f"{what} of {ROWS:,} events on {DATABASES.get(DATABASE, DATABASE)}"


async def filled() -> Filled:
    """Return the history; make it at first need.

    Raises:
        NotMeasured: there is no such database here, or filling failed.
    """
    if not _MADE:
        _MADE.append(await _make())
    return _MADE[0]


def told(text: str) -> list[Row]:
    """Return rows for the lines of a program: "say|name|value" or "most|name|value|limit|unit|more"."""
    rows = []
    for line in text.splitlines():
        kind, *parts = line.split("|")
        if kind == "say":
            rows.append(Row(parts[0], parts[1]))
        elif kind == "most":
            name, value, limit, unit, more = parts
            row = at_most(name, float(value), float(limit), unit, 1)
            rows.append(Row(row.what, f"{row.value} ({more})", row.target, row.met))
    return rows


async def _make() -> Filled:
    if DATABASE not in DATABASES:
        raise NotMeasured(f"LOCKRING_BENCH_DATABASE is one of {', '.join(DATABASES)}, not {DATABASE!r}")
    if ROWS < ROWS_MIN:
        raise NotMeasured(f"LOCKRING_BENCH_ROWS is {ROWS:,}: a history has at least {ROWS_MIN:,}")
    folder = _place()
    environ = {"PYTHONPATH": str(PROJECT)} | (_server(folder) if DATABASE == "postgresql" else {})
    done = folder / f"{DATABASE}-{ROWS}.txt"
    if not done.exists():
        say(f"  filling {ROWS:,} rows in {folder}")
        done.write_text(await _run(folder, environ, "fill", "--rows", str(ROWS)), encoding="utf-8")
    return Filled(folder, environ, told(done.read_text(encoding="utf-8")))


def _place() -> Path:
    kept = os.environ.get("LOCKRING_BENCH_DATA")
    folder = Path(kept or tempfile.mkdtemp(prefix="lockring-bench-")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if not kept:
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _server(folder: Path) -> dict[str, str]:
    place = folder / "postgresql"
    place.mkdir(exist_ok=True)
    folder.chmod(0o755)  # it is run by somebody else where we are root
    server = Postgres(claim_ports(), place)
    try:
        server.start()
    except NoServer as reason:
        raise NotMeasured(str(reason)) from reason
    atexit.register(server.stop)
    return {"LOCKRING_DATABASE": server.url}


async def _run(folder: Path, environ: dict[str, str], program: str, *arguments: str) -> str:
    return await said_by("-m", f"tests.bench.{program}", *arguments, LOCKRING_DATA=str(folder), **environ)
