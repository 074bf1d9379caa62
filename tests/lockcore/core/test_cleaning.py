"""Sessions that held very much: cleaned up piece by piece, and nothing is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core import cleaning
from lockcore.core.events import EventKind
from lockcore.core.messages import Emit, EndSession, Lock, OpenSession, SessionEnded, SessionIs, SetRange
from lockcore.core.rangerecords import Kind
from tests.lockcore.core.bench import Bench, granted

if TYPE_CHECKING:
    import pytest

LOCKS, ROOM = 60, 5


def test_no_step_cleans_up_more_than_so_many_keys_and_none_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """X4: a node that is busy for longer than its lease would be fenced, with everybody's locks."""
    monkeypatch.setattr(cleaning, "CLEAN_KEYS_MAX", ROOM)
    bench = Bench(peers=())
    bench.view()
    opened = bench.ask(OpenSession("ada", 20_000))
    other = bench.ask(OpenSession("bob", 20_000))
    assert isinstance(opened, SessionIs)
    assert isinstance(other, SessionIs)
    keys = [f"k{i}" for i in range(LOCKS)]
    for number, key in enumerate(keys, start=1):
        granted(bench.ask(Lock(key, 5_000, "ada", "", opened.session, number)))
    bench.ask(SetRange("file", opened.session, LOCKS + 1, "t", Kind.WRITE, 0, 10))
    call = bench.call(EndSession(opened.session))
    assert isinstance(bench.answers.get(call), SessionEnded)
    assert 0 < released(bench) <= 2 * ROOM  # before and after the input
    # Before it is released, a lock of a session that is gone is in nobody's way.
    granted(bench.ask(Lock(max(keys), 5_000, "bob", "", other.session, 1)))
    while bench.core._state.cleaning:
        before = released(bench)
        assert bench.core.next_timer_ns() == bench.core._state.now.boot_ns, "it goes on at once"
        bench.wait(0)
        assert released(bench) - before <= 2 * ROOM
    assert released(bench) == LOCKS
    state = bench.core._state
    assert not any(session.keys for session in state.sessions if session.ref == opened.session.ref)


def released(bench: Bench) -> int:
    """Return how many of the session's locks were told to be released, or have another holder."""
    facts = [e.event for e in bench.out if isinstance(e, Emit)]
    return len([f for f in facts if f.kind is EventKind.RELEASED]) + len(
        [f for f in facts if f.kind is EventKind.GRANTED and f.owner == "bob"]
    )
