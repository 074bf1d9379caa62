"""Files of what clients did: one JSON array per line, tokens as digests.

Six kinds of lines: calls, beliefs, holds and losses, which are judged; samples
of probes, which measure; and stalls, in which a process did not run though it
wanted to.

Elsewhere: who writes (client), who reads (measure).
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import astuple, dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from lockcore.client.clock import boot_ns
from lockcore.testing.history import Call, Did

if TYPE_CHECKING:
    from pathlib import Path

STALL_NS: Final = 100_000_000
"""A process that slept so much longer than it asked for was not scheduled."""
LOOK_NS: Final = 20_000_000
FLUSH_NS: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class Sample:
    """A probe's renewal that was answered: when it was asked and when it was told."""

    key: str
    asked_ns: int
    told_ns: int


@dataclass(frozen=True, slots=True)
class Belief:
    """`is_locked` was true when it was read after `at_ns`."""

    client: str
    key: str
    generation: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Hold:
    """A program believed to hold bytes `start` to `end` of a key, both included, from `from_ns` to `to_ns`."""

    program: str
    key: str
    kind: str
    start: int
    end: int
    fence: int
    from_ns: int
    to_ns: int = 0


@dataclass(slots=True)
class Recorded:
    """All that was written down by one run's clients, and the harness's own stalls."""

    calls: list[Call] = field(default_factory=list)
    beliefs: list[Belief] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    losses: list[tuple[str, str, int]] = field(default_factory=list)
    stalls: list[tuple[int, int]] = field(default_factory=list)


class Recorder:
    """Appends to a file; flushed ten times a second and at the end.

    Args:
        path: the file.
        notes_stalls: False for a process that is stopped on purpose.
    """

    def __init__(self, path: Path, *, notes_stalls: bool = True) -> None:
        self._notes_stalls = notes_stalls
        self._file = path.open("a", encoding="utf-8")

    def call(self, call: Call) -> None:
        """Write a call."""
        c = call
        token = sha256(c.token.encode()).hexdigest()[:16] if c.token else ""
        row = ["call", c.client, c.did.value, c.key, c.invoked_ns, c.ttl_ms, c.returned_ns, c.ok]
        self._write([*row, c.generation, c.seq, token, c.code])

    def sample(self, sample: Sample) -> None:
        """Write a sample."""
        self._write(["sample", sample.key, sample.asked_ns, sample.told_ns])

    def belief(self, belief: Belief) -> None:
        """Write a belief."""
        self._write(["belief", belief.client, belief.key, belief.generation, belief.at_ns])

    def hold(self, hold: Hold) -> None:
        """Write a hold that is over."""
        self._write(["hold", *astuple(hold)])

    def lost(self, program: str, what: str, at_ns: int) -> None:
        """Write that a program in a session has lost something that it had not let go of."""
        self._write(["lost", program, what, at_ns])

    def stall(self, begin_ns: int, end_ns: int) -> None:
        """Write a stall."""
        if self._notes_stalls:
            self._write(["stall", begin_ns, end_ns])

    def _write(self, row: list[object]) -> None:
        self._file.write(json.dumps(row) + "\n")

    def flush(self) -> None:
        """Hand everything to the kernel."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


async def watch_stalls(recorder: Recorder) -> None:
    """Write down when this process was kept from running; flush now and then."""
    before_ns = boot_ns()
    flushed_ns = before_ns
    while True:
        await asyncio.sleep(LOOK_NS / 1e9)
        now_ns = boot_ns()
        if now_ns - before_ns > LOOK_NS + STALL_NS:
            recorder.stall(before_ns, now_ns)
        before_ns = now_ns
        if now_ns - flushed_ns > FLUSH_NS:
            recorder.flush()
            flushed_ns = now_ns


def read_all(paths: list[Path]) -> Recorded:
    """Read files of recorders; a last line that was cut off is left out."""
    out = Recorded()
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                take_row(out, json.loads(line))
    out.calls.sort(key=lambda call: call.invoked_ns)
    out.samples.sort(key=lambda sample: sample.told_ns)
    return out


def take_row(out: Recorded, row: list[object]) -> None:
    """Add what one line holds.

    Raises:
        ValueError: it is no line of a recorder.
    """
    match row:
        case ["stall", int(begin_ns), int(end_ns)]:
            out.stalls.append((begin_ns, end_ns))
        case ["sample", str(key), int(asked_ns), int(told_ns)]:
            out.samples.append(Sample(key, asked_ns, told_ns))
        case ["hold", str(p), str(key), str(kind), int(start), int(end), int(fence), int(from_ns), int(to_ns)]:
            out.holds.append(Hold(p, key, kind, start, end, fence, from_ns, to_ns))
        case ["lost", str(program), str(what), int(at_ns)]:
            out.losses.append((program, what, at_ns))
        case ["belief", str(client), str(key), int(generation), int(at_ns)]:
            out.beliefs.append(Belief(client, key, generation, at_ns))
        case [
            "call", str(client), str(did), str(key), int(invoked_ns), int(ttl_ms), int(returned_ns),
            (bool() | None) as ok, int(generation), int(seq), str(token), str(code),
        ]:  # fmt: skip
            out.calls.append(
                Call(client, Did(did), key, invoked_ns, ttl_ms, returned_ns, ok, generation, seq, token, code)
            )
        case _:
            raise ValueError(f"no line of a recorder: {row!r:.200}")
