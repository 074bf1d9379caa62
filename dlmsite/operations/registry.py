"""Which node processes were started in this data folder: one small file each, so that they can be adopted again.

    DATA/nodes/n1.json  {"label", "address", "master", "pid", "start_ticks", "started_ns"}

Invariants
  G1  A record is believed only if a process of that pid, start time and command line lives. Others are removed.
Elsewhere: what is done with them (supervisor).
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from dlmsite.operations.procs import ProcessId, command_line, identify

FOLDER: Final = "nodes"


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node process that was started here.

    `master` is the gRPC target that it was told, `started_ns` the wall clock before it was started.
    """

    label: str
    address: str
    master: str
    pid: int
    start_ticks: int
    started_ns: int

    @property
    def process(self) -> ProcessId:
        """Which process."""
        return ProcessId(self.pid, self.start_ticks)


class Registry:
    """The records of one data folder."""

    def __init__(self, data: Path) -> None:
        self._folder = data / FOLDER

    def put(self, record: NodeRecord) -> None:
        """Write a record, whole or not at all.

        Raises:
            OSError: the folder cannot be written.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._folder / f".{record.label}.{os.getpid()}.tmp"
        draft.write_text(json.dumps(asdict(record)), encoding="utf-8")
        draft.replace(self._path(record.label))

    def remove(self, label: str) -> None:
        """Forget a process."""
        self._path(label).unlink(missing_ok=True)

    def read(self) -> tuple[list[NodeRecord], list[NodeRecord]]:
        """Return the records whose process lives, and those whose process is gone, which are removed (G1)."""
        living: list[NodeRecord] = []
        gone: list[NodeRecord] = []
        for path in sorted(self._folder.glob("*.json")):
            record = _read(path)
            if record is not None and _lives(record):
                living.append(record)
                continue
            path.unlink(missing_ok=True)
            if record is not None:
                gone.append(record)
        return living, gone

    def peek(self) -> list[NodeRecord]:
        """Return the records whose process lives; change nothing."""
        records = (_read(path) for path in sorted(self._folder.glob("*.json")))
        return [record for record in records if record is not None and _lives(record)]

    def _path(self, label: str) -> Path:
        return self._folder / f"{label}.json"


def _read(path: Path) -> NodeRecord | None:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return NodeRecord(
            label=str(raw["label"]),
            address=str(raw["address"]),
            master=str(raw["master"]),
            pid=int(raw["pid"]),
            start_ticks=int(raw["start_ticks"]),
            started_ns=int(raw["started_ns"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _lives(record: NodeRecord) -> bool:
    """Say whether its process lives, and its command line names this very node (G1)."""
    line = command_line(record.pid)
    return identify(record.pid) == record.process and "node" in line and record.address in line
