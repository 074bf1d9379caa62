"""The things to try: what each shows, what it needs, what it does, and what is expected of it.

Pure descriptions. `{primary}` and `{backup}` in a text are the nodes of the run's lock, once there is one.

Elsewhere: judges (verdicts, ringverdicts), doing it (course), what a cluster needs for it (needs).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from dlmsite.operations.scenarios import ringverdicts, verdicts
from dlmsite.operations.scenarios.verdicts import Judge

TTL_S: Final = 15.0
"""Renewed every 5 s: two renewals may fail while a node is replaced, also on a busy machine."""
HOLD_S: Final = 30.0
"""A node that is paused or cut off is let go after this, whatever becomes of us."""
PRIMARY: Final = "primary"
BACKUP: Final = "backup"


class Until(StrEnum):
    """What a step may wait for."""

    RENEWED = "renewed"
    OUT = "out"
    SERVED = "served"
    SETTLED = "settled"


@dataclass(frozen=True, slots=True)
class Take:
    """Take the lock, and have a stranger ask for it again and again."""


@dataclass(frozen=True, slots=True)
class Act:
    """Ask for actions on nodes, all at once, and wait until each has ended. `deeds`: (what, which node)."""

    deeds: tuple[tuple[str, str], ...]
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Each:
    """Ask for an action on every node, one after the other."""

    what: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for something, so long at most; that it did not come is for the expectations to say."""

    until: Until
    within_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Challenge:
    """Have a stranger ask the primary of before directly, from now on."""


@dataclass(frozen=True, slots=True)
class PutBack:
    """Let go what is held, start what was ended, and wait until all is settled."""


@dataclass(frozen=True, slots=True)
class Release:
    """Release the lock."""


Doing = Take | Act | Each | Wait | Challenge | PutBack | Release


@dataclass(frozen=True, slots=True)
class Step:
    """One step, in words and as what is done."""

    id: str
    says: str
    doing: Doing


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is expected, in words and as a judge of facts."""

    id: str
    says: str
    judge: Judge


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing to try. `nodes`: how many have to be up; `about_s`: how long it takes, roughly, on three nodes."""

    id: str
    title: str
    shows: str
    nodes: int
    about_s: int
    steps: tuple[Step, ...]
    expects: tuple[Expectation, ...]


TAKE: Final = Step("take", "Take a lock in your name, and let a stranger ask for it all the time", Take())
RENEW: Final = Step("renew", "Wait for the holder's next renewal", Wait(Until.RENEWED))
RELEASE: Final = Step("release", "Release the lock", Release())
SAME: Final = Expectation("generation", "The lock keeps its fencing token (generation)", verdicts.same_generation)
BELIEF: Final = Expectation("belief", "You hold it all the time: is_locked stays true", verdicts.holder_believes)
NOBODY: Final = Expectation("nobody", "Nobody else is granted it", verdicts.nobody_else)
BEFORE: Final = Expectation("before", "In the end all is as it was", ringverdicts.as_before)


def _back(says: str) -> Step:
    return Step("back", says, PutBack())


def _renewable(what: str) -> Expectation:
    says = f"It is renewed in time: within {TTL_S:g} s, its lease"
    return Expectation("renewable", says, verdicts.renewed_after(what, TTL_S))


KILL_PRIMARY: Final = Scenario(
    "kill-primary",
    "Kill the primary of a lock you hold",
    "The node that serves your lock dies without a word. Its backup knows the lock as well and serves it at once; you "
    "hold it on, with the same fencing token. When the node is back, the lock moves home.",
    nodes=2,
    about_s=10,
    steps=(
        TAKE,
        Step("kill", "Kill {primary}, which serves it (SIGKILL)", Act((("kill", PRIMARY),))),
        RENEW,
        _back("Start {primary} again, and wait until everybody has all locks"),
        RELEASE,
    ),
    expects=(
        Expectation("backup", "{backup}, its backup of before, serves it", verdicts.served_by_backup("kill")),
        Expectation("served", "Whoever asks is told who holds it, within 3 s", verdicts.served_again(3.0)),
        _renewable("kill"),
        BELIEF,
        SAME,
        Expectation("home", "Once {primary} is back, the lock moves home to it", verdicts.moves_home),
        NOBODY,
        BEFORE,
    ),
)

DROP_JOIN: Final = Scenario(
    "drop-join",
    "Drop and join within a second",
    "A node dies and is started again at once, as a service manager would do. The ring waits a second before it "
    "changes its version, so both together are one ring update; the new process has no memory, and gets every lock of "
    "its arcs from the others.",
    nodes=2,
    about_s=8,
    steps=(
        TAKE,
        Step("drop", "Kill {primary} and start it again at once", Act((("kill", PRIMARY), ("restart", PRIMARY)))),
        Step("settled", "Wait until everybody has all locks", Wait(Until.SETTLED, 30.0)),
        RENEW,
        RELEASE,
    ),
    expects=(
        Expectation("update", "Both together are one new version of the ring", ringverdicts.one_ring_update),
        _renewable("kill"),
        BELIEF,
        SAME,
        NOBODY,
        BEFORE,
    ),
)

ROLLING: Final = Scenario(
    "rolling-restart",
    "Rolling restart",
    "Every node is restarted, one after the other, each with a goodbye: it hands its locks over before it leaves, and "
    "gets them back when it joins. Nobody who holds a lock notices.",
    nodes=2,
    about_s=15,
    steps=(TAKE, Step("each", "Restart every node, one after the other", Each("restart")), RENEW, RELEASE),
    expects=(
        Expectation("once", "Every node leaves and comes back, once", ringverdicts.each_restarted_once),
        Expectation("away", "At no time is more than one away", ringverdicts.one_away_at_a_time),
        BELIEF,
        SAME,
        NOBODY,
        BEFORE,
    ),
)

FREEZE: Final = Scenario(
    "freeze",
    "Freeze a node past its lease, and wake it",
    "A process that stands still (a long pause, a machine that sleeps) is no longer heard. After its node lease of 2 s "
    "it counts as down, and its backup serves. The question is what it does on waking, when it still thinks that "
    "nothing has happened: it must refuse.",
    nodes=2,
    about_s=13,
    steps=(
        TAKE,
        Step("pause", "Stop the process of {primary} (SIGSTOP)", Act((("pause", PRIMARY),), {"seconds": HOLD_S})),
        Step("out", "Wait until the master marks {primary} down", Wait(Until.OUT)),
        Step("served", "Wait until another node serves the lock", Wait(Until.SERVED)),
        Step("ask", "Ask sleeping {primary} for the lock, as a stranger", Challenge()),
        Step("wake", "Wake {primary} (SIGCONT)", Act((("resume", PRIMARY),))),
        RENEW,
        _back("Wait until {primary} is back in the ring"),
        RELEASE,
    ),
    expects=(
        Expectation("backup", "{backup}, its backup of before, serves it", verdicts.served_by_backup("pause")),
        _renewable("pause"),
        Expectation(
            "refuses", "{primary} wakes and refuses, until it has the newest view", verdicts.refuses_once_awake
        ),
        BELIEF,
        SAME,
        NOBODY,
        BEFORE,
    ),
)

CUT: Final = Scenario(
    "cut-master",
    "Cut a node off from the master",
    "The node runs, and clients reach it, but it no longer hears the master. It cannot know whether somebody else has "
    "taken its place, so it stops serving by itself after 2 s, before the master lets its backup serve at 2.5 s.",
    nodes=2,
    about_s=14,
    steps=(
        TAKE,
        Step(
            "cut",
            "Cut {primary} off from the master",
            Act((("isolate", PRIMARY),), {"scope": "master", "way": "both", "seconds": HOLD_S}),
        ),
        Step("ask", "Ask {primary} for the lock, as a stranger", Challenge()),
        Step("out", "Wait until the master marks {primary} down", Wait(Until.OUT)),
        Step("served", "Wait until another node serves the lock", Wait(Until.SERVED)),
        RENEW,
        _back("Heal {primary}, and wait until it is back in the ring"),
        RELEASE,
    ),
    expects=(
        Expectation(
            "first", "{primary} stops before another node serves the lock", ringverdicts.stops_before_another_serves
        ),
        Expectation("backup", "{backup}, its backup of before, serves it", verdicts.served_by_backup("isolate")),
        Expectation("refuses", "{primary} refuses strangers who still reach it", verdicts.refuses_while_cut),
        _renewable("isolate"),
        BELIEF,
        SAME,
        NOBODY,
        BEFORE,
    ),
)

KILL_BOTH: Final = Scenario(
    "kill-both",
    "Kill both owners of a lock",
    "Primary and backup die in the same moment, so no node knows the lock any more. Its arcs grant nothing new for a "
    "minute, the longest lease, for somebody may hold what nobody remembers. Whoever does comes back with its token.",
    nodes=3,
    about_s=14,
    steps=(
        TAKE,
        Step("kill", "Kill {primary} and {backup} at once (SIGKILL)", Act((("kill", PRIMARY), ("kill", BACKUP)))),
        RENEW,
        _back("Start {primary} and {backup} again, and wait until everybody has all locks"),
        RELEASE,
    ),
    expects=(
        Expectation("out", "Strangers are told to wait until its holder is back", verdicts.kept_out),
        Expectation("back", "Its holder comes back by its token, with the same generation", verdicts.readmitted),
        _renewable("kill"),
        BELIEF,
        SAME,
        NOBODY,
        BEFORE,
    ),
)

SCENARIOS: Final = {s.id: s for s in (KILL_PRIMARY, DROP_JOIN, ROLLING, FREEZE, CUT, KILL_BOTH)}


def tell(text: str, cast: Mapping[str, str]) -> str:
    """Return a text with the nodes of a run, or with what they are while there is none."""
    told = text.format(
        primary=cast.get(PRIMARY) or "the primary",
        backup=cast.get(BACKUP) or "the backup",
    )
    return told[:1].upper() + told[1:] if not cast.get(PRIMARY) else told
