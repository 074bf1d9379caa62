"""What a run of a scenario has seen, as facts. Its expectations are judged by these alone.

Pure. Nodes go by their labels; times are wall-clock nanoseconds of this machine, which all nodes of `up` share.

Invariants
  F1  A fact is something that somebody told: the holder's own client, a node that was asked, a row of the history.
  F2  `gap` says why facts may be missing; empty: all that the run needs is recorded, so what is not there was not.
Elsewhere: judging (verdicts), where facts come from (hands, recorded), scenarios (catalog).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000

GOT: Final = "got"
RENEWED: Final = "renewed"
LOST: Final = "lost"
RELEASED: Final = "released"
GRANTED: Final = "granted"
SILENT: Final = "silent"
"""Of an answer: none came."""


@dataclass(frozen=True, slots=True)
class Belief:
    """What the holder's client believes from `at_ns` on: got, renewed, lost or released.

    `sent_ns`: when what brought it was asked; `until_ns`: until when it believes to hold the lock.
    """

    at_ns: int
    what: str
    generation: int = 0
    sent_ns: int = 0
    until_ns: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a stranger was told who asked for the same lock: `says` is granted, silent or a refusal's code.

    `node`: the one that was asked directly; empty: whoever serves the lock. `count` answers in a row were the same,
    the first asked at `asked_ns` and told at `at_ns`, the last told at `until_ns`; at most `pause_ns` lay between two.
    """

    asked_ns: int
    at_ns: int
    until_ns: int
    says: str
    node: str = ""
    text: str = ""
    count: int = 1
    pause_ns: int = 0


@dataclass(frozen=True, slots=True)
class Deed:
    """An operator's action of this run, as its row says."""

    action: int
    what: str
    label: str
    state: str
    began_ns: int = 0
    ended_ns: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """A row of the history. `source` and `peer` are labels where they are nodes of ours."""

    event: int
    at_ns: int
    source: str
    kind: str
    generation: int = 0
    view: int = 0
    peer: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """A view of the master: who serves in it."""

    number: int
    version: int
    at_ns: int
    up: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Seen:
    """What a node said at the end of the newest generation that it knows of the lock; None: it did not answer."""

    label: str
    generation: int | None


@dataclass(frozen=True, slots=True)
class Record:
    """All facts of one run, each kind in its order of time.

    `lock` are the rows about the lock, `nodes` those about nodes. `before`, `after`: who served; None: nobody looked.
    """

    primary: str = ""
    backup: str = ""
    generation: int = 0
    beliefs: tuple[Belief, ...] = ()
    answers: tuple[Answer, ...] = ()
    deeds: tuple[Deed, ...] = ()
    lock: tuple[Told, ...] = ()
    nodes: tuple[Told, ...] = ()
    views: tuple[Published, ...] = ()
    seen: tuple[Seen, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] | None = None
    gap: str = "the run is not over"
    others: tuple[Deed, ...] = field(default=())
    """What others did to nodes meanwhile."""

    def deed(self, what: str, label: str = "") -> Deed | None:
        """Return the first action of a kind that has begun, on a node if one is named."""
        found = (d for d in self.deeds if d.what == what and d.began_ns and label in {"", d.label})
        return next(found, None)


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Return labels, n2 before n10."""
    return tuple(sorted(labels, key=lambda label: (len(label), label)))


def span(later_ns: int, earlier_ns: int) -> str:
    """Say how long it was."""
    seconds = (later_ns - earlier_ns) / NS_PER_S
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - two digits are enough then
