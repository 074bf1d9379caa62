"""What a scenario needs, and what is in its way now: said, with what can be done about it.

Pure. Elsewhere: reading how things are (situation), the scenarios (catalog).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from dlmsite.operations.scenarios.catalog import Scenario


@dataclass(frozen=True, slots=True)
class Situation:
    """How things are, as rows say.

    `unseen`: why nobody knows. `down` are marked so in the newest view, `away` are processes that run and are not in
    it, `idle` are nodes that could be started again; `held` and `acting` are labels, with what is done to them.
    """

    up: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    away: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    settled: bool = False
    unseen: str = ""
    rehearsing: str = ""
    trying: str = ""
    held: tuple[tuple[str, str], ...] = ()
    acting: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Lack:
    """Why not now. `remedy`: wait, add, restart, resume, heal, stop or cancel; `label`: of which node."""

    text: str
    remedy: str = "wait"
    label: str = ""


def lack_of(scenario: Scenario, now: Situation) -> Lack | None:
    """Return what is in a scenario's way; None if nothing is."""
    return next(_lacks(scenario, now), None)


def _lacks(scenario: Scenario, now: Situation) -> Iterator[Lack]:
    """Yield what is in the way, what matters most first."""
    if now.unseen:
        yield Lack(now.unseen)
    if now.trying:
        yield Lack(f"One at a time: {now.trying}. Wait for its end, or cancel it.", "cancel")
    if now.rehearsing:
        yield Lack(f"{now.rehearsing} rehearses now. Wait for its end, or stop it.", "stop")
    for label, how in now.held:
        remedy = "resume" if how.startswith("paused") else "heal"
        yield Lack(f"{label} is {how}. {remedy.capitalize()} it first, or wait for its time.", remedy, label)
    for label, what in now.acting:
        yield Lack(f"{f'{what} {label}'.strip()} is under way. Wait for its end.")
    if now.down or now.away or not now.settled:
        who = "locks are on their way to their nodes"
        if now.down or now.away:
            who = f"not in the ring: {', '.join(dict.fromkeys((*now.down, *now.away)))}"
        yield Lack(f"The cluster is settling ({who}). Try again in a moment.")
    if len(now.up) < scenario.nodes:
        yield _too_few(scenario, now)


def _too_few(scenario: Scenario, now: Situation) -> Lack:
    text = f"It needs {scenario.nodes} nodes, and {len(now.up)} {'is' if len(now.up) == 1 else 'are'} up."
    if now.idle:
        return Lack(f"{text} Start {now.idle[0]} again.", "restart", now.idle[0])
    return Lack(f"{text} Add a node.", "add")
