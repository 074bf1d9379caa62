"""Seeds in batches: on several processes, with a report that an interrupted campaign goes on from.

A report is a file of JSON lines. The first names the code that the seeds were
run on: with other code they would say something else, so a report is never
continued with it.

Elsewhere: what a batch must contain to mean anything (campaign).
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from lockcore.testing.outcome import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEDS: Final = 20
"""In a batch: about a second."""
SHOWN_MAX: Final = 5
PACKAGE: Final = Path(__file__).parent

Run = Callable[[int], Verdict]


class OtherCode(ValueError):  # noqa: N818 - it names what is wrong
    """A report was begun with other code; the text says what to do."""


@dataclass(slots=True)
class Batch:
    """What seeds from `first` on came to. `bad`: the texts of those with violations."""

    first: int
    seeds: int
    counts: Counter[str] = field(default_factory=Counter)
    bad: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. `seeds` 0: until `seconds` have passed; `seconds` 0: no bound."""

    run: Run
    first: int
    seeds: int
    jobs: int = 1
    seconds: float = 0.0

    def batches(self) -> Iterator[tuple[int, int]]:
        """Yield (first, seeds) of each batch."""
        if not self.seeds:
            for number in count():
                yield self.first + number * SEEDS, SEEDS
        end = self.first + self.seeds
        for first in range(self.first, end, SEEDS):
            yield first, min(SEEDS, end - first)


def told(verdict: Verdict) -> str:
    """Return a failure as people need it: how to repeat it, what contradicts what, and how it came to that."""
    lines = [f"seed {verdict.seed} at commit {commit()}: {len(verdict.violations)} violations"]
    for violation in verdict.violations[:SHOWN_MAX]:
        lines.append(f"  {violation.rule} {violation.text}")
        lines += [f"      {record}" for record in violation.calls]
    lines += ["  what was done to it:", *(f"    {line}" for line in verdict.faults)]
    return "\n".join([*lines, verdict.transcript, ""])


def commit() -> str:
    """Return what the code is: a seed says something only together with it."""
    asked = ["git", "-C", str(PACKAGE), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def code() -> str:
    """Return a digest of all that decides what a seed does."""
    digest = sha256()
    for folder in (PACKAGE.parent / "core", PACKAGE):
        for path in sorted(folder.glob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def run_batch(run: Run, first: int, seeds: int) -> Batch:
    """Run a batch. A core that raises, or goes in a circle, is a failure like any other."""
    batch = Batch(first, seeds)
    for seed in range(first, first + seeds):
        try:
            verdict = run(seed)
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed that shows it is wanted
            batch.bad[seed] = f"seed {seed} at commit {commit()}: {type(error).__name__}: {error}\n"
            continue
        batch.counts.update(verdict.counts)
        if verdict.violations:
            batch.bad[seed] = told(verdict)
    return batch


def run_all(plan: Plan, add: Callable[..., None], report: Path | None = None) -> None:
    """Run a plan; `add` is given each batch, in any order, also those that the report knows (`before`).

    Raises:
        OtherCode: the report was begun with other code, or for other seeds.
    """
    done: set[int] = set()
    until_s = time.monotonic() + plan.seconds if plan.seconds else None
    out = _open(report, plan, done, add) if report is not None else None
    wanted = (b for b in plan.batches() if b[0] not in done)
    try:
        for batch in _results(plan, wanted, until_s):
            if out is not None:
                line = {"first": batch.first, "seeds": batch.seeds, "counts": batch.counts, "bad": batch.bad}
                out.write(json.dumps(line) + "\n")
                out.flush()
            add(batch)
    finally:
        if out is not None:
            out.close()


def _results(plan: Plan, wanted: Iterator[tuple[int, int]], until_s: float | None) -> Iterator[Batch]:
    in_time = _in_time(wanted, until_s)
    if plan.jobs <= 1:
        yield from (run_batch(plan.run, *each) for each in in_time)
        return
    context = multiprocessing.get_context("fork")
    with context.Pool(plan.jobs, _ignore_interrupts) as pool:
        waiting = [pool.apply_async(run_batch, (plan.run, *each)) for each in islice(in_time, 2 * plan.jobs)]
        while waiting:
            yield waiting.pop(0).get()
            waiting += [pool.apply_async(run_batch, (plan.run, *each)) for each in islice(in_time, 1)]


def _in_time(wanted: Iterator[tuple[int, int]], until_s: float | None) -> Iterator[tuple[int, int]]:
    for each in wanted:
        if until_s is not None and time.monotonic() >= until_s:
            return
        yield each


def _ignore_interrupts() -> None:
    """Ctrl-C is for the parent, which ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _open(report: Path, plan: Plan, done: set[int], add: Callable[..., None]) -> TextIO:
    head = {"code": code(), "run": plan.run.__name__, "first": plan.first}
    if report.exists() and report.stat().st_size:
        text = report.read_text(encoding="utf-8")
        lines = text.splitlines()
        known = json.loads(lines[0])
        if any(known.get(name) != value for name, value in head.items()):
            raise OtherCode(f"{report} was begun with other code or other seeds; name another file, or remove it")
        for line in lines[1:]:
            batch = _batch(line)
            if batch is not None and batch.first not in done:
                done.add(batch.first)
                add(batch, before=True)
        out = report.open("a", encoding="utf-8")
        out.write("" if text.endswith("\n") else "\n")
        return out
    out = report.open("w", encoding="utf-8")
    out.write(json.dumps({**head, "commit": commit()}) + "\n")
    return out


def _batch(line: str) -> Batch | None:
    """Return the batch of a line; None for one that an interruption cut short."""
    try:
        raw = json.loads(line)
    except json.JSONDecodeError:
        return None
    return Batch(raw["first"], raw["seeds"], Counter(raw["counts"]), {int(s): text for s, text in raw["bad"].items()})
