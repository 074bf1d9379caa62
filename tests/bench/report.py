"""What a measurement says: rows of figure, value and target, and how they are printed.

Elsewhere: who measures (the modules named in bench), who prints (tests.bench.__main__).
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

VERDICTS: Final = {True: "met", False: "MISSED", None: ""}


class NotMeasured(Exception):  # noqa: N818 - says what is the case; the text says why
    """A figure cannot be had here."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        what: the name of the figure, with its unit where the value has none.
        value: as people read it.
        target: what it has to reach; empty where it is for information.
        met: whether it does; None where there is no target.
    """

    what: str
    value: str
    target: str = ""
    met: bool | None = None


def at_most(what: str, found: float, limit: float, unit: str, digits: int = 3) -> Row:
    """Return a row that is met by a value up to `limit`."""
    return Row(what, f"{found:.{digits}f} {unit}", f"<= {limit:g} {unit}", found <= limit)


def at_least(what: str, found: float, limit: float, digits: int = 3) -> Row:
    """Return a row that is met by a value from `limit` on."""
    return Row(what, f"{found:.{digits}f}", f">= {limit:g}", found >= limit)


def exactly(what: str, found: int, wanted: int, note: str = "") -> Row:
    """Return a row that is met by one number only."""
    return Row(what, f"{found:,}{note}", f"{wanted:,}", found == wanted)


def share(numbers: Sequence[float], part: float) -> float:
    """Return the value that `part` (0 to 1) of the numbers do not exceed.

    Raises:
        NotMeasured: there are none.
    """
    if not numbers:
        raise NotMeasured("nothing was counted")
    ordered = sorted(numbers)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def spread(what: str, numbers: Sequence[float], unit: str, digits: int = 1) -> Row:
    """Return median, 95 %, 99 % and the largest, for information."""
    parts = (share(numbers, 0.95), share(numbers, 0.99), max(numbers))
    text = " / ".join(f"{number:.{digits}f}" for number in (median(numbers), *parts))
    return Row(f"{what}: median / 95 % / 99 % / max of {len(numbers):,}", f"{text} {unit}")


def load() -> str:
    """Return the machine's load averages, and over how many processors."""
    one, five, _ = os.getloadavg()
    return f"load {one:.2f} (1 min) {five:.2f} (5 min) on {os.cpu_count()} processors"


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def tell(rows: Sequence[Row]) -> None:
    """Print rows below each other."""
    for row in rows:
        target = f"   target {row.target}   {VERDICTS[row.met]}" if row.target else ""
        say(f"  {row.what}: {row.value}{target}")
