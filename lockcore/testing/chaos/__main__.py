"""The command line: `python -m lockcore.testing.chaos --seconds 60 --seed 1 --nodes 3 --out FOLDER`.

Exit code 0: nothing wrong. 1: a rule was broken, the contradicting records are printed. 2: it did not run to its end.

With `--progress` each line on stdout is one JSON object with `type` and `at_ms` (since the first line):

    {"type":"started","wall_ms":…,"nodes":3,"seed":1,"seconds":30.0,"faults":null, …}     once the cluster is settled
    {"type":"fault","phase":"begun","number":1,"kind":"kill_seen","title":"kill, seen","target":"n2"}
    {"type":"fault","phase":"over","number":1,"kind":…,"title":…,"target":…,"lasted_ms":1500,"settled_ms":1100,
     "failover_ms":93 | null,"problem":"","notes":[…]}
    {"type":"checked","events":4711,"violations":0}                                       where that has changed
    {"type":"report","exit_code":0,"verdict":"…","trials":9,"violations_found":0,
     "violations":[{"rule","text","records":[…]}] (at most 1,000),"lost":0,"bound_percent":33.3 | null,
     "rows":[{"kind","title","trials","violations","locks_lost","failover_p50_ms","failover_p99_ms",
     "failover_samples","set_aside","unavailable_mean_ms","not_settled", …}],"folder":"…","text":"…"}
    {"type":"failed","exit_code":2,"text":"…"}                                            instead of a report

`seconds` says how long faults begin, the last one is ended in order; `faults` is how many come at most, or null.
`violations` of `checked` counts what facts contradict while the run goes on; the report judges everything. A run with
`--progress` also ends when its parent does, or its stdin, where that is a pipe; without `--out` it leaves no folder
behind then. SIGTERM ends any run: processes, secret and temporary files go with it.

Elsewhere: what it does (run).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from lockcore.testing.chaos import report as reports
from lockcore.testing.chaos.cluster import NotReached
from lockcore.testing.chaos.ending import Told, until_told
from lockcore.testing.chaos.kinds import Kind
from lockcore.testing.chaos.progress import Lines, Text, Voice
from lockcore.testing.chaos.run import Run, Settings

EXIT_VIOLATION = 1
EXIT_BROKEN = 2
SECONDS_MAX = 14_400.0
TRIALS_MAX = 1_000
TRIAL_S_MAX = 120
"""A trial has bounds of its own; together they are below this."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chaos", description="Break a real cluster, and judge what its clients saw.")
    parser.add_argument("--seconds", type=float, help="how long faults are begun (60, or as long as --trials take)")
    parser.add_argument("--trials", type=int, default=0, help="at most so many of each kind, in rounds")
    parser.add_argument("--seed", type=int, default=1, help="of the faults (%(default)s)")
    parser.add_argument("--nodes", type=int, default=3, choices=range(2, 10), metavar="2..9", help="(%(default)s)")
    parser.add_argument("--out", type=Path, help="empty folder for report, records and logs; default: a temporary one")
    parser.add_argument("--progress", action="store_true", help="tell it as JSON, and end with who started it")
    parser.add_argument(
        "--durability", choices=("backup", "async"), default="backup", help="of the nodes (%(default)s)"
    )
    parser.add_argument(
        "--belief", type=float, default=1.0, help="trust locks so many times their TTL: above 1 is wrong"
    )
    parser.add_argument("--patch", default="", help="module:function that takes rules out, for tests")
    parser.add_argument("--only", default="", help=f"kinds of faults, by comma: {', '.join(k.code for k in Kind)}")
    return parser


def main(arguments: list[str]) -> int:
    """Run chaos; return the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.seconds is None:
        given.seconds = SECONDS_MAX if given.trials else 60.0
    if not (0 < given.seconds <= SECONDS_MAX and 0 <= given.trials <= TRIALS_MAX):
        parser.error(f"--seconds goes up to {SECONDS_MAX:.0f}, --trials up to {TRIALS_MAX}")
    settings = Settings(
        seconds=given.seconds,
        trials=given.trials,
        seed=given.seed,
        nodes=given.nodes,
        durability=given.durability,
        belief=given.belief,
        only=_kinds(parser, given.only),
        patch=given.patch,
    )
    folder: Path = (given.out or Path(tempfile.mkdtemp(prefix="chaos-"))).absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out {folder}: {error.strerror}; name a folder that can be made")
    if any(folder.iterdir()):
        parser.error(f"--out {folder} is not empty: name a new folder")
    voice: Voice = Lines() if given.progress else Text()
    try:
        return _run(settings, folder, voice, watches_parent=given.progress)
    finally:
        if given.progress and given.out is None:
            shutil.rmtree(folder, ignore_errors=True)


def _kinds(parser: argparse.ArgumentParser, names: str) -> tuple[Kind, ...]:
    try:
        return tuple(Kind[name.strip().upper()] for name in names.split(",") if name.strip())
    except KeyError as error:
        parser.error(f"--only: there is no kind {error}; there are: {', '.join(kind.code for kind in Kind)}")


def _run(settings: Settings, folder: Path, voice: Voice, *, watches_parent: bool) -> int:
    limit_s = settings.seconds + 3 * TRIAL_S_MAX
    work = Run(settings, folder, voice).carry_out()
    try:
        found = asyncio.run(until_told(work, limit_s, watches_parent=watches_parent))
    except NotReached as problem:
        voice.failed(f"could not begin: {problem}; see the logs in {folder}", EXIT_BROKEN)
        return EXIT_BROKEN
    except Told as why:
        voice.failed(f"{why}; everything has been ended, records are in {folder}", EXIT_BROKEN)
        return EXIT_BROKEN
    code = EXIT_BROKEN if found.died or any(trial.problem for trial in found.trials) else 0
    if found.violations:
        code = EXIT_VIOLATION
    text = reports.write(found, folder)
    voice.report({**reports.summary(found), "folder": str(folder)}, text, code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
