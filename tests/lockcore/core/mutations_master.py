"""Changes that each take one invariant out of the master, or out of what nodes tell it.

Elsewhere: those of nodes and their parts (mutations), the tests that must fail then (test_mutations).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core import admission, master, silence
from lockcore.core import messages as msg
from lockcore.core.ledger import Ledger
from lockcore.core.master import MasterCore
from lockcore.core.master_state import MasterState
from lockcore.core.messages import Persist
from lockcore.core.reach import Reach
from lockcore.core.roster import Node, Roster

if TYPE_CHECKING:
    from typing import Any

    import pytest

    from lockcore.core.messages import Instant, Unreached
    from lockcore.core.view import Member, MemberId


def forgive_when_settled(patch: pytest.MonkeyPatch) -> None:
    """G1."""
    settle = Ledger.settle

    def forgiving(self: Ledger) -> None:
        settle(self)
        self.graces = []

    patch.setattr(Ledger, "settle", forgiving)


def date_graces_by_the_wall_clock(patch: pytest.MonkeyPatch) -> None:
    """G3: what a grace in a journal was in format 1."""
    dump, load = Ledger.dump, Ledger.load

    def dated(self: Ledger, now: Instant) -> dict[str, Any]:
        return {**dump(self, now), "wall_ns": now.wall_ns}

    def believing(journal: dict[str, Any], now: Instant, boot_id: str | None = None) -> Ledger:
        passed_ns = now.wall_ns - journal["wall_ns"]
        return load({**journal, "boot_ns": journal["boot_ns"] + passed_ns, "boot_id": "that of before"}, now, boot_id)

    patch.setattr(Ledger, "dump", dated)
    patch.setattr(Ledger, "load", believing)


def take_newer_for_wiser(patch: pytest.MonkeyPatch) -> None:
    """G4."""
    patch.setattr(Ledger, "is_foreign", lambda _self, _view, _now: False)


def number_by_the_clock(patch: pytest.MonkeyPatch) -> None:
    """G2, M1: what SeaweedFS's master does (W12)."""
    patch.setattr(Ledger, "next_number", lambda _self, now, _floors, _headroom: now.wall_ns)


def judge_too_early(patch: pytest.MonkeyPatch) -> None:
    """M2."""

    def early(_state: MasterState, found: Node) -> int:
        return found.acked_ns + 500_000_000

    patch.setattr(silence, "silent_at_ns", early)


def journal_last(patch: pytest.MonkeyPatch) -> None:
    """M3."""
    publish = MasterState.publish

    def late(self: MasterState, members: tuple[Member, ...], version: int | None, grace_ms: int | None = None) -> None:
        start = len(self.out)
        publish(self, members, version, grace_ms)
        self.out[start:] = sorted(self.out[start:], key=lambda effect: isinstance(effect, Persist))

    patch.setattr(MasterState, "publish", late)


def know_connections_by_address(patch: pytest.MonkeyPatch) -> None:
    """M4: the late end of an old stream evicts the node that is back (W14)."""

    def disconnect(self: Roster, connection: int) -> Node | None:
        gone = self.connections.pop(connection, None)
        found = [n for n in self if gone is not None and n.id.address == gone.address and n.connection is not None]
        for each in found:
            each.connection = None
        return found[-1] if found else None

    patch.setattr(Roster, "disconnect", disconnect)


def publish_whoever_is_first(patch: pytest.MonkeyPatch) -> None:
    """M5: what SeaweedFS's master does after a restart (W13)."""
    patch.setattr(MasterCore, "_may_plan", lambda _self: True)


def acknowledge_without_a_view(patch: pytest.MonkeyPatch) -> None:
    """M9: a master that has forgotten all lets whoever speaks serve on."""
    heartbeat = MasterCore._heartbeat

    def generous(self: MasterCore, connection: int, message: msg.Heartbeat) -> None:
        heartbeat(self, connection, message)
        if self._state.view is None and message.view:
            self._state.out.append(msg.SendNode(connection, msg.HeartbeatAck(message.number, 0, 0)))

    patch.setattr(MasterCore, "_heartbeat", generous)


def part_at_any_price(patch: pytest.MonkeyPatch) -> None:
    """M6."""
    patch.setattr(Ledger, "would_orphan", lambda _self, _member: False)


def let_anybody_back_in(patch: pytest.MonkeyPatch) -> None:
    """M7."""
    patch.setattr(master, "reconsider", admission.want_in)


def count_silence_from_anywhen(patch: pytest.MonkeyPatch) -> None:
    """M8."""
    speak = Node.speak

    def forgetful(self: Node, now_ns: int) -> None:
        speak(self, now_ns)
        self.steady_ns = 0

    patch.setattr(Node, "speak", forgetful)


# --- whom a node reaches --------------------------------------------------------------------------------


def begin_silence_anew(patch: pytest.MonkeyPatch) -> None:
    """K1."""
    ask = Reach.ask

    def forgetful(self: Reach, member: MemberId, now_ns: int) -> None:
        self._peers[member].asked_ns = None
        ask(self, member, now_ns)

    patch.setattr(Reach, "ask", forgetful)


def trust_the_unknown(patch: pytest.MonkeyPatch) -> None:
    """K2."""
    unreached = Reach.unreached

    def trusting(self: Reach, now_ns: int) -> tuple[Unreached, ...]:
        return tuple(u for u in unreached(self, now_ns) if u.silent_ms)

    patch.setattr(Reach, "unreached", trusting)
