"""Histories as files, one record a line; `python -m lockcore.testing.ndjson FILE` judges one.

Renew tokens are secrets: a file holds a digest of each, which tells two
apart as well as the token does.

Elsewhere: the records (record), the rules (history).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lockcore.testing.history import History, check
from lockcore.testing.record import Act, Call, Deed, Did, Write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LINE_CHARS_MAX = 100_000
DIGEST_CHARS = 16


class BadHistory(ValueError):  # noqa: N818 - it names what is bad
    """A line is no record; the text says which line and why."""


def write_history(history: History, path: Path) -> None:
    """Write a history."""
    with path.open("w", encoding="utf-8") as out:
        out.writelines(line + "\n" for line in lines_of(history))


def lines_of(history: History) -> Iterator[str]:
    """Yield a history as JSON lines: first the margin, then calls, deeds and writes."""
    yield json.dumps({"record": "history", "format": 1, "margin": history.margin})
    for call in history.calls:
        yield _line("call", replace(call, token=_digest(call.token)))
    for deed in history.deeds:
        yield _line("deed", deed)
    for write in history.writes:
        yield _line("write", write)


def read_history(path: Path) -> History:
    """Read a history.

    Raises:
        BadHistory: a line is no record of one.
    """
    with path.open(encoding="utf-8") as lines:
        return history_of(lines)


def history_of(lines: Iterable[str]) -> History:
    """Return the history that lines hold.

    Raises:
        BadHistory: a line is no record of one.
    """
    history = History()
    for number, line in enumerate(lines, 1):
        try:
            _take(history, line)
        except (ValueError, TypeError, KeyError) as error:
            text = f"line {number} is no record of a history: {error}; a history is made by lockcore.testing.ndjson"
            raise BadHistory(text) from error
    return history


def _take(history: History, line: str) -> None:
    if len(line) > LINE_CHARS_MAX:
        raise ValueError(f"it has {len(line)} characters, and at most {LINE_CHARS_MAX} are read")
    raw: dict[str, Any] = json.loads(line)
    kind = raw.pop("record")
    if kind == "history":
        history.margin = float(raw["margin"])
    elif kind == "call":
        history.calls.append(Call(**{**raw, "did": Did(raw["did"])}))
    elif kind == "deed":
        history.deeds.append(Deed(**{**raw, "what": Act(raw["what"])}))
    elif kind == "write":
        history.writes.append(Write(**raw))
    else:
        raise ValueError(f"there are no records of kind {kind!r}")


def _line(kind: str, record: Call | Deed | Write) -> str:
    return json.dumps({"record": kind, **asdict(record)})


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()[:DIGEST_CHARS] if token else ""


def main() -> int:
    """Judge the file that the command line names."""
    parser = argparse.ArgumentParser(description="Judge a history of lock calls.")
    parser.add_argument("file", type=Path)
    path: Path = parser.parse_args().file
    try:
        history = read_history(path)
    except (OSError, BadHistory) as error:
        sys.stderr.write(f"{path}: {error}\n")
        return 2
    found = check(history)
    for violation in found:
        sys.stdout.write(f"{violation.rule} {violation.text}\n")
        sys.stdout.writelines(f"    {record}\n" for record in violation.calls)
    records = f"{len(history.calls)} calls, {len(history.deeds)} deeds, {len(history.writes)} writes"
    sys.stdout.write(f"{records}: {len(found)} violations\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
