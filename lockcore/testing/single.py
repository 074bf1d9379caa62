"""I5: after one fault and convergence, every acknowledged lock is renewable by its holder.

One fault for each seed, and holders that never release. Between the fault and
the end nothing else fails; strangers go on asking for the same locks.

Elsewhere: many faults at once (simulate), the faults themselves (faults).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core.messages import RETRYABLE, Code, Granted, Lock, Refused, Result
from lockcore.testing.clients import Habits, SimClient, note
from lockcore.testing.faults import Faults
from lockcore.testing.history import History, check
from lockcore.testing.outcome import Verdict, agreement, converge, counts_of, trace_of
from lockcore.testing.record import Call, Did, Violation
from lockcore.testing.register import Registers
from lockcore.testing.simulate import small_world
from lockcore.testing.transcript import transcript

if TYPE_CHECKING:
    from lockcore.testing.world import World

LOCKS = 24
STRANGERS = 5
TTL_MS = 40_000
"""Longer than any fault, its healing and what convergence takes."""
PATIENCE_MS = 1_000
FAULT_MS = 9_000
LAST_MS = 8_000
"""So long after convergence each holder has had its renewal, or never will."""


class Holder:
    """A client that takes one lock and renews it for ever.

    `lost`: the call after which it knew that it has lost, which must not be.
    """

    def __init__(self, world: World, key: str, history: History) -> None:
        """Take the lock."""
        self.world = world
        self.key = key
        self.history = history
        self.token = ""
        self.generation = 0
        self.renewed_ns = 0
        self.done = False
        self.lost: Call | None = None
        self.acquired: Call | None = None
        self.ask()

    def ask(self) -> None:
        """Acquire or renew, at whoever is primary in the newest view."""
        if self.done:
            return
        call = Call(f"holder-{self.key}", Did.RENEW if self.token else Did.ACQUIRE, self.key, self.world.now_ns, TTL_MS)
        call.generation = self.generation
        self.history.calls.append(call)
        answers: list[Result] = []

        def take(result: Result) -> None:
            if not answers:
                answers.append(result)
                note(call, result, self.world.now_ns)
                self._take(call, result)

        def give_up() -> None:
            if not answers:
                answers.append(Refused(Code.TIMEOUT, "no answer"))
                self.ask()

        address = self._whom()
        if address is not None:
            self.world.call(address, Lock(self.key, TTL_MS, call.client, self.token), take, PATIENCE_MS)
        self.world.after(PATIENCE_MS, give_up)

    def _whom(self) -> str | None:
        nodes, view = self.world.nodes, self.world.views[-1]
        primary = view.ring.primary(self.key)
        living = sorted(n.address for n in nodes.values() if n.alive)
        if primary in living and self.world.random.random() < 0.8:  # noqa: PLR2004 - a share
            return primary
        return self.world.random.choice(living) if living else None

    def _take(self, call: Call, result: Result) -> None:
        match result:
            case Granted():
                self.token, self.generation = result.token, result.generation
                self.renewed_ns = call.invoked_ns
                self.acquired = self.acquired or call
                self.world.after(self.world.random.uniform(300, 2_500), self.ask)
            case Refused(code) if self.token and code not in RETRYABLE:
                self.lost = call
            case _:
                self.world.after(self.world.random.uniform(5, 50), self.ask)


def simulate_single(seed: int) -> Verdict:
    """Run one seed with one fault. One that breaks a rule is run again to be told."""
    verdict = _run(seed, tape=False)
    return verdict if not verdict.violations else _run(seed, tape=True)


def _run(seed: int, *, tape: bool) -> Verdict:
    world = small_world(seed, tape=tape, longest_lease_ms=TTL_MS)
    history, registers = History(deeds=world.witness.deeds), Registers()
    history.writes = registers.writes
    keys = [f"held-{i}" for i in range(LOCKS)]
    holders = [Holder(world, key, history) for key in keys]
    world.run_until(lambda: all(h.token for h in holders))
    stop_ns = world.now_ns + (FAULT_MS + LAST_MS // 4) * 1_000_000
    for i in range(STRANGERS):
        SimClient(world, f"client-{i}", Habits([*keys, "free-0", "free-1"]), history, registers, stop_ns)
    faults = Faults(world, world.now_ns + FAULT_MS * 1_000_000, keys)
    kind = world.random.choice(faults.single())
    world.after(world.random.uniform(300, 2_000), lambda: faults.do(kind))
    world.run_ms(FAULT_MS)
    world.calm()
    violations = converge(world)
    converged_ns = world.now_ns
    world.run_ms(LAST_MS)
    violations += [v for h in holders if (v := _kept(h, converged_ns))]
    for holder in holders:
        holder.done = True
    world.run_ms(PATIENCE_MS)
    violations += agreement(world)
    violations = [*check(history), *world.witness.found, *violations]
    verdict = Verdict(seed, violations, trace_of(world, history), counts_of(world, history), faults.log)
    verdict.counts[f"fault {kind.__name__}"] = 1
    verdict.counts["locks kept"] = sum(1 for h in holders if not _kept(h, converged_ns))
    if tape and violations:
        verdict.transcript = transcript(world, violations[0])
    return verdict


def _kept(holder: Holder, converged_ns: int) -> Violation | None:
    acquired = holder.acquired
    if acquired is None:
        return None
    if holder.lost is not None:
        text = f"{holder.key}: its holder was refused ({holder.lost.code}) though its lease had not run out"
        return Violation("I5", text, (acquired, holder.lost))
    if holder.renewed_ns < converged_ns:
        return Violation("I5", f"{holder.key}: its holder could not renew after convergence", (acquired,))
    return None
