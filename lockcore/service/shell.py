"""One node's core, driven: inputs in, effects out in their order.

Everything runs on one asyncio loop and nothing here awaits, so a step and
its effects are never interrupted by another.

Invariants
  N1  Facts of a step are written before any later effect of it is carried
      out; several steps in one go write once.
  N2  An exception in one step or effect is logged and counted; the node
      goes on, and the client of that step gets an answer.
Elsewhere: decisions (lockcore.core.node), streams (peer_links, master_link).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Final, Protocol

from lockcore.core.limits import NS_PER_MS, REQUEST_TIMEOUT_MS
from lockcore.core.messages import (
    ClientCall,
    Code,
    Emit,
    FromPeer,
    Heartbeat,
    Instant,
    Leave,
    NodeEffect,
    NodeInput,
    Operation,
    PeerMessage,
    Refused,
    Reply,
    Result,
    SendMaster,
    SendPeer,
    Stop,
    Tick,
)
from lockcore.service import clock
from lockcore.service.alarm import Alarm
from lockcore.service.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lockcore.core.events import Event
    from lockcore.core.inspecting import KeySeen, LeaseSeen, SessionsSeen
    from lockcore.core.messages import Gauges, NodeMessage, Register
    from lockcore.core.view import MemberId, View

TICK_GAP_NS: Final = NS_PER_MS
"""A timer never fires sooner than this: a core that asks for the past must
not keep the loop from everybody else."""
TRACES_MAX: Final = 20
"""So many exceptions are logged in full, then only each thousandth."""

_log = logging.getLogger(__name__)


class Core(Protocol):
    """What the shell needs of a NodeCore; tests put a scripted one in."""

    @property
    def member(self) -> MemberId: ...  # noqa: D102 - see NodeCore
    @property
    def view(self) -> View | None: ...  # noqa: D102
    @property
    def all_settled(self) -> bool: ...  # noqa: D102
    def step(self, given: NodeInput, now: Instant, *, more: bool = False) -> list[NodeEffect]: ...  # noqa: D102
    def next_timer_ns(self) -> int | None: ...  # noqa: D102
    def registration(self) -> Register: ...  # noqa: D102
    def gauges(self, now: Instant) -> Gauges: ...  # noqa: D102
    def serving(self, now: Instant) -> bool: ...  # noqa: D102
    def acquiring(self) -> bool: ...  # noqa: D102
    def see_key(self, key: str, now: Instant) -> KeySeen: ...  # noqa: D102
    def see_leases(self, keys: Iterable[str], now: Instant) -> tuple[LeaseSeen, ...]: ...  # noqa: D102
    def see_sessions(self, now: Instant) -> SessionsSeen: ...  # noqa: D102


class PeerSender(Protocol):
    """Where SendPeer goes."""

    def send(self, address: str, message: PeerMessage) -> None: ...  # noqa: D102
    def retain(self, addresses: Iterable[str]) -> None: ...  # noqa: D102


class FactWriter(Protocol):
    """Where Emit goes."""

    def append(self, events: Sequence[Event]) -> range: ...  # noqa: D102


class Faults:
    """Counts exceptions that were survived, and keeps them from filling the log."""

    def __init__(self) -> None:
        self.count = 0

    def note(self, what: str, error: BaseException | None = None) -> None:
        """Count and log an exception; `what` names the place and holds no token."""
        self.count += 1
        if self.count <= TRACES_MAX or self.count % 1_000 == 0:
            _log.error("survived exception no. %d in %s", self.count, what, exc_info=error)


class NodeShell:
    """Carries out what a core decides.

    Args:
        core: the node.
        spool: where facts go.
        peers: where messages to other nodes go.
        send_master: takes messages for the master; may drop them.
        stop: called once with exit code and reason when the core stops.
    """

    def __init__(
        self,
        core: Core,
        spool: FactWriter,
        peers: PeerSender,
        send_master: Callable[[NodeMessage], None],
        stop: Callable[[int, str], None],
    ) -> None:
        self.core = core
        self.faults = Faults()
        self.leaving = False
        self._spool = spool
        self._peers = peers
        self._send_master = send_master
        self._stop = stop
        self._calls: dict[int, tuple[Callable[[Result], None], int | None]] = {}
        self._meter = Meter()
        self._call_ids = count(1)
        self._alarm = Alarm(self._tick, TICK_GAP_NS)
        self._view_number = 0
        self._was_settled = False
        self._was_serving = False
        self._on_view: list[Callable[[View], None]] = []
        self._on_facts: list[Callable[[], None]] = []

    # --- for services ---------------------------------------------------------------

    def on_view(self, callback: Callable[[View], None]) -> Callable[[], None]:
        """Call back for each new view, and when it is settled; return how to end that."""
        self._on_view.append(callback)
        return lambda: self._on_view.remove(callback)

    def on_facts(self, callback: Callable[[], None]) -> None:
        """Call back whenever facts were written."""
        self._on_facts.append(callback)

    def call(
        self,
        operation: Operation,
        answer: Callable[[Result], None],
        *,
        timeout_ms: int = 0,
        may_park: bool = True,
        forwarded: bool = False,
    ) -> ClientCall:
        """Return the input for an operation; `answer` is called once.

        Give it to `give`, with others if there are any. A timeout of 0 is the default one.
        """
        call_id = next(self._call_ids)
        self._calls[call_id] = (answer, self._meter.begin(operation))
        return ClientCall(call_id, operation, timeout_ms or REQUEST_TIMEOUT_MS, may_park, forwarded)

    def give(self, *inputs: NodeInput) -> None:
        """Step through inputs and carry out what follows; never raises."""
        effects: list[NodeEffect] = []
        for left, given in zip(range(len(inputs) - 1, -1, -1), inputs, strict=True):
            effects += self._step(given, more=left > 0)
        self._carry_out(effects)
        self._note_changes()
        self._alarm.set(self.core.next_timer_ns())

    def give_captured(self, given: NodeInput, wanted: Callable[[NodeEffect], bool]) -> NodeEffect | None:
        """Step through one input; return the effect that is `wanted` instead of carrying it out."""
        found: NodeEffect | None = None
        effects: list[NodeEffect] = []
        for effect in self._step(given):
            if found is None and wanted(effect):
                found = effect
            else:
                effects.append(effect)
        self._carry_out(effects)
        self._note_changes()
        self._alarm.set(self.core.next_timer_ns())
        return found

    def gauges(self) -> Gauges:
        """Return what the node measures of itself now."""
        return self._meter.fill(self.core.gauges(clock.now()))

    def leave(self) -> None:
        """Begin to leave the ring."""
        self.leaving = True
        self.give(Leave())

    def close(self) -> None:
        """Stop the timer."""
        self._alarm.cancel()

    @property
    def state(self) -> str:
        """Return joining, up, acquiring, fenced or leaving."""
        view = self.core.view
        if self.leaving:
            return "leaving"
        if view is None or not view.is_up(self.core.member):
            return "joining"
        if not self.core.serving(clock.now()):
            return "fenced"
        return "acquiring" if self.core.acquiring() else "up"

    # --- inside -----------------------------------------------------------------------

    def _step(self, given: NodeInput, *, more: bool = False) -> list[NodeEffect]:
        if isinstance(given, FromPeer):
            self._meter.heard(given.message)
        try:
            return self.core.step(given, clock.now(), more=more)
        except Exception as error:  # noqa: BLE001 - N2: whatever it is, the node serves on
            self.faults.note(f"step of {_name_of(given)}", error)
            if isinstance(given, ClientCall):
                text = "internal error: the outcome is unknown; ask again with the same token"
                return [Reply(given.call_id, Refused(Code.TIMEOUT, text))]
            return []

    def _carry_out(self, effects: list[NodeEffect]) -> None:
        facts = [effect.event for effect in effects if isinstance(effect, Emit)]
        if facts:
            self._spool.append(facts)  # N1
        for effect in effects:
            try:
                self._do(effect)
            except Exception as error:  # noqa: BLE001 - N2
                self.faults.note(type(effect).__name__, error)
        if facts:
            for callback in self._on_facts:
                callback()

    def _do(self, effect: NodeEffect) -> None:
        match effect:
            case Reply(call_id, result):
                answer, began_ns = self._calls.pop(call_id, (None, None))
                if answer is not None:
                    self._meter.end(began_ns)
                    answer(result)
            case SendPeer(address, message):
                self._meter.sent(address, message)
                self._peers.send(address, message)
            case SendMaster(Heartbeat() as beat):
                self._send_master(replace(beat, gauges=self._meter.fill(beat.gauges)))
            case SendMaster(to_master):
                self._send_master(to_master)
            case Stop(exit_code, text):
                self._stop(exit_code, text)
            case Emit():
                pass  # written before

    def _note_changes(self) -> None:
        view = self.core.view
        if view is not None and view.number != self._view_number:
            self._view_number = view.number
            self._peers.retain(m.address for m in view.members)
            self._meter.new_view()
            _log.info("view %d: %d of %d members up", view.number, len(view.up), len(view.members))
            self._was_settled = False
            self._tell_view(view)
        if view is not None and self.core.all_settled and not self._was_settled:
            self._was_settled = True
            self._tell_view(view)
        serving = self.core.serving(clock.now())
        if serving != self._was_serving:
            self._was_serving = serving
            _log.info("serving" if serving else "not serving: fenced, or no member")

    def _tell_view(self, view: View) -> None:
        for callback in list(self._on_view):
            callback(view)

    def _tick(self) -> None:
        due_ns = self.core.next_timer_ns()
        if due_ns is not None and due_ns <= clock.boot_ns():
            self.give(Tick())
        else:
            self._alarm.set(due_ns)


def _name_of(given: NodeInput) -> str:
    """Name an input without its content, which may hold a token."""
    inner = getattr(given, "message", getattr(given, "operation", None))
    return type(given).__name__ + ("" if inner is None else f"({type(inner).__name__})")
