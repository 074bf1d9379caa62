"""What dead nodes had spooled and not reported yet: recorded by whoever saw them end.

The name of a spool file tells label and incarnation, so it also tells which incarnation a process is before the master
has heard of it.

Invariants
  L1  A file is removed only after all that could be read of it is recorded.
  L2  The spool of a living process is never touched.
Elsewhere: the file's form (lockcore.service.spool), idempotence of what was reported already (journal).
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dlmsite.journal.recorder import RecorderStopped
from dlmsite.operations.ports import EventSink
from lockcore.service.spool import open_leftover

log = logging.getLogger(__name__)

FOLDER: Final = "spool"
SUFFIX: Final = ".ndjson"


class Leftovers:
    """The spool files of one data folder."""

    def __init__(self, data: Path, sink: EventSink) -> None:
        self._folder = data / FOLDER
        self._sink = sink
        self._busy = asyncio.Lock()

    def incarnations(self, label: str) -> list[int]:
        """Return the incarnations of a label that have a file."""
        found = (_parse(path) for path in self._folder.glob(f"{label}-*{SUFFIX}"))
        return [incarnation for owner, incarnation in filter(None, found) if owner == label]

    async def record(self, living: Mapping[str, int]) -> None:
        """Record and remove the files of processes that are gone.

        Args:
            living: label -> incarnation of what runs, or a lower bound where that is not known yet.
        """
        async with self._busy:
            for path in sorted(self._folder.glob(f"*{SUFFIX}")):
                parsed = _parse(path)
                if parsed is None or self._is_living(parsed, living):
                    continue
                try:
                    await self._record_file(path)
                except OSError as error:
                    log.warning("%s could not be read and stays: %s", path, error)
                except RecorderStopped:
                    log.warning("%s could not be recorded; it stays, and the next start does it", path)

    async def _record_file(self, path: Path) -> None:
        leftover = await asyncio.to_thread(open_leftover, path)
        count = 0
        if leftover is not None:
            batches = leftover.batches()
            while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                await self._sink(batch)
                count += len(batch.events)
        await asyncio.to_thread(path.unlink, missing_ok=True)
        if count:
            log.info("recorded %d events that %s had left behind", count, path.stem)

    @staticmethod
    def _is_living(parsed: tuple[str, int], living: Mapping[str, int]) -> bool:
        label, incarnation = parsed
        return label in living and incarnation >= living[label]


def _parse(path: Path) -> tuple[str, int] | None:
    label, _, incarnation = path.stem.rpartition("-")
    return (label, int(incarnation)) if label and incarnation.isdecimal() else None
