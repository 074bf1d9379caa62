"""The master's core, driven: inputs in, effects out in their order.

Invariants
  M1  The journal is written before any later effect of a step is carried out.
  M2  An exception in one step or effect is logged and counted; the master
      goes on.
Elsewhere: decisions (lockcore.core.master), streams (master_services).
"""

from __future__ import annotations

import asyncio
import logging
from itertools import count
from typing import TYPE_CHECKING, Final

from lockcore.core.limits import NS_PER_MS, NS_PER_S
from lockcore.core.messages import (
    Closed,
    ConnectionLost,
    Disconnect,
    Emit,
    MasterEffect,
    MasterInput,
    Persist,
    Publish,
    SendNode,
    Tick,
)
from lockcore.service import clock
from lockcore.service.alarm import Alarm
from lockcore.service.outbox import Outbox
from lockcore.service.shell import Faults
from lockcore.wire.master_codec import encode_master_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.core.master import MasterCore
    from lockcore.core.view import View
    from lockcore.service.journal_file import JournalFile
    from lockcore.service.own_facts import OwnFacts

TICK_GAP_NS: Final = 5 * NS_PER_MS
"""A timer never fires sooner: a core that asks for the past must not keep the loop from everybody else."""
WRITE_AGAIN_NS: Final = NS_PER_S
"""After a journal that could not be written; until it is, a restart costs a grace everywhere."""

_log = logging.getLogger(__name__)


class MasterShell:
    """Carries out what the master's core decides."""

    def __init__(self, core: MasterCore, journal: JournalFile, facts: OwnFacts) -> None:
        self.core = core
        self.faults = Faults()
        self.closed = asyncio.Event()
        self._journal = journal
        self._facts = facts
        self._connections: dict[int, Outbox] = {}
        self._numbers = count(1)
        self._subscribers: list[Callable[[View, bool], None]] = []
        self._alarm = Alarm(self._tick, TICK_GAP_NS)
        self._unwritten: dict[str, object] | None = None
        self._write_again_ns = 0

    def connect(self) -> tuple[int, Outbox]:
        """Number a node's connection; return it and where its messages wait."""
        number = next(self._numbers)
        outbox = self._connections[number] = Outbox()
        return number, outbox

    def disconnect(self, number: int) -> None:
        """Say that a node's connection has ended."""
        if self._connections.pop(number, None) is not None:
            self.give(ConnectionLost(number))

    def subscribe(self, callback: Callable[[View, bool], None]) -> Callable[[], None]:
        """Call back with (view, settled) at each change; return how to end that."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def give(self, given: MasterInput) -> None:
        """Take one step and carry out what follows; never raises."""
        try:
            effects = self.core.step(given, clock.now())
        except Exception as error:  # noqa: BLE001 - M2
            self.faults.note(f"step of {type(given).__name__}", error)
            effects = []
        for effect in effects:
            try:
                self._do(effect)
            except Exception as error:  # noqa: BLE001 - M2
                self.faults.note(type(effect).__name__, error)
        self._alarm.set(self.core.next_timer_ns())

    def close(self) -> None:
        """Stop the timer and end all connections."""
        self._alarm.cancel()
        for outbox in self._connections.values():
            outbox.close()

    def _do(self, effect: MasterEffect) -> None:
        match effect:
            case SendNode(connection, message):
                outbox = self._connections.get(connection)
                if outbox is not None:
                    outbox.send(encode_master_message(message))
            case Disconnect(connection):
                outbox = self._connections.pop(connection, None)
                if outbox is not None:
                    outbox.close()
            case Persist(journal):
                self._write(journal)
            case Publish(view, settled):
                self._publish(view, settled=settled)
            case Emit(event):
                self._facts.append((event,))
            case Closed():
                self.closed.set()

    def _write(self, journal: dict[str, object]) -> None:
        """Write the journal, or keep it until it can be written."""
        written = self._journal.write(journal)
        self._unwritten = None if written else journal
        self._write_again_ns = clock.boot_ns() + WRITE_AGAIN_NS

    def _publish(self, view: View, *, settled: bool) -> None:
        what = "settled" if settled else f"published: {len(view.up)} of {len(view.members)} members up"
        _log.info("view %d %s", view.number, what)
        for callback in list(self._subscribers):
            callback(view, settled)

    def _tick(self) -> None:
        if self._unwritten is not None and clock.boot_ns() >= self._write_again_ns:
            self._write(self._unwritten)
        self.give(Tick())
