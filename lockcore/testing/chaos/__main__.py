"""The command line: `python -m lockcore.testing.chaos --seconds 60 --seed 1 --nodes 3 --out FOLDER`.

Exit code 0: nothing wrong. 1: a rule was broken, the contradicting calls are printed. 2: it did not run to its end.

Elsewhere: what it does (run).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from lockcore.testing.chaos import report as reports
from lockcore.testing.chaos.cluster import NotReached
from lockcore.testing.chaos.faults import Kind
from lockcore.testing.chaos.run import Settings, run

EXIT_VIOLATION = 1
EXIT_BROKEN = 2


def main(arguments: list[str]) -> int:
    """Run chaos; return the exit code."""
    parser = argparse.ArgumentParser(prog="chaos", description="Break a real cluster, and judge what its clients saw.")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults are begun (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the faults (%(default)s)")
    parser.add_argument("--nodes", type=int, default=3, choices=range(2, 10), metavar="2..9", help="(%(default)s)")
    parser.add_argument("--out", type=Path, help="empty folder for report, records and logs; default: a temporary one")
    parser.add_argument(
        "--durability", choices=("backup", "async"), default="backup", help="of the nodes (%(default)s)"
    )
    parser.add_argument(
        "--belief", type=float, default=1.0, help="trust locks so many times their TTL: above 1 is wrong"
    )
    names = ", ".join(kind.name.lower() for kind in Kind)
    parser.add_argument("--only", default="", help=f"kinds of faults, by comma: {names}")
    given = parser.parse_args(arguments)
    try:
        only = tuple(Kind[name.strip().upper()] for name in given.only.split(",") if name.strip())
    except KeyError as error:
        parser.error(f"--only: there is no kind {error}; there are: {names}")
    folder = given.out or Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        parser.error(f"--out {folder} is not empty: name a new folder")
    settings = Settings(given.seconds, given.seed, given.nodes, given.durability, given.belief, only)
    try:
        found = asyncio.run(run(settings, folder.absolute(), _tell))
    except NotReached as problem:
        sys.stderr.write(f"chaos could not begin: {problem}; see the logs in {folder}\n")
        return EXIT_BROKEN
    except KeyboardInterrupt:
        sys.stderr.write(f"chaos was interrupted; everything has been ended, records are in {folder}\n")
        return EXIT_BROKEN
    _tell("\n" + reports.write(found, folder) + f"\nrecords and logs: {folder}")
    if found.violations:
        return EXIT_VIOLATION
    return EXIT_BROKEN if found.died or any(trial.problem for trial in found.trials) else 0


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
