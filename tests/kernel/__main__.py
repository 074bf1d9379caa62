"""`python -m tests.kernel`: compare byte ranges with the kernel's, by the hundred thousand; 1 where they differ.

Elsewhere: what is compared (descriptions, waits), the same in small (test_ranges_kernel).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kernel import descriptions, waits
from tests.kernel.descriptions import DifferenceError

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable


def main(arguments: list[str]) -> int:
    """Compare, and say what was seen."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.kernel", description="Compare byte ranges with the kernel's."
    )
    parser.add_argument("--operations", type=int, default=100_000, help="at once, and as many that wait")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        at_once = _told("at once (open file descriptions)", descriptions.compare, Path(folder) / "file", options)
        waiting = _told("waiting (processes)", waits.compare, Path(folder), options)
    return 0 if at_once and waiting else 1


def _told(
    what: str, compare: Callable[[Path, int, int], Counter[str]], path: Path, options: argparse.Namespace
) -> bool:
    began_s = time.monotonic()
    try:
        seen = compare(path, options.seed, options.operations)
    except DifferenceError as difference:
        _say(f"{what}: the kernel differs\n  {difference}")
        return False
    took_s = time.monotonic() - began_s
    _say(f"{what}: no difference in {options.operations:,} operations, seed {options.seed}, {took_s:.0f} s")
    for name, count in seen.most_common():
        _say(f"  {count:>7,}  {name}")
    return True


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
