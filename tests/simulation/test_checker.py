"""The checker against histories made by hand, against brute force, and through a file."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest

from lockcore.testing.history import History, check
from lockcore.testing.ndjson import BadHistory, history_of, lines_of, main, read_history, write_history
from lockcore.testing.record import Act, Call, Deed, Did, Write
from lockcore.testing.register import Registers
from lockcore.testing.simulate import simulate
from tests.simulation.brute import linearizable

if TYPE_CHECKING:
    from pathlib import Path

MS = 1_000_000
HISTORIES = 3_000


def rules(history: History) -> list[str]:
    return [v.rule for v in check(history)]


def acquired(client: str, at_ms: int, generation: int, ttl_ms: int = 1_000) -> Call:
    """Return an acquisition that took a millisecond."""
    at_ns = at_ms * MS
    return Call(client, Did.ACQUIRE, "k", at_ns, ttl_ms, at_ns + MS, True, generation, 1, f"t{generation}")


def unlocked(client: str, at_ms: int, generation: int) -> Call:
    return Call(client, Did.UNLOCK, "k", at_ms * MS, 0, at_ms * MS + MS, True, generation)


def renewed(client: str, at_ms: int, generation: int, ttl_ms: int = 1_000) -> Call:
    return Call(client, Did.RENEW, "k", at_ms * MS, ttl_ms, at_ms * MS + MS, True, generation, at_ms, f"r{at_ms}")


# --- what clients saw ---------------------------------------------------------------------


def test_holds_that_touch_pass_and_a_nanosecond_more_does_not() -> None:
    """I1 to the nanosecond: a near miss is no violation."""
    first = acquired("a", 0, 1)
    end_ns = History(margin=0.0, calls=[first]).holds()[0].end_ns
    near = replace(acquired("b", 0, 2), returned_ns=end_ns)
    assert rules(History(margin=0.0, calls=[first, near])) == []
    over = replace(near, returned_ns=end_ns - 1)
    assert rules(History(margin=0.0, calls=[first, over])) == ["I1"]


def test_a_renewal_of_an_overtaken_generation_is_found() -> None:
    """I1: both would be told that they hold it."""
    calls = [acquired("a", 0, 1), acquired("b", 5_000, 2), renewed("a", 5_002, 1)]
    assert rules(History(calls=calls)) == ["I1"]


def test_a_generation_granted_twice_is_found() -> None:
    """I2: a fencing token that repeats fences nothing."""
    assert "I2" in rules(History(calls=[acquired("a", 0, 5), acquired("b", 5_000, 5)]))


def test_a_generation_that_falls_is_found() -> None:
    """I2: a later holder must have the higher token."""
    assert "I2" in rules(History(calls=[acquired("a", 0, 5), acquired("b", 5_000, 4)]))


def test_generations_of_grants_at_the_same_time_have_no_order() -> None:
    """A near miss of I2: who was first is not known."""
    early = replace(acquired("a", 0, 5), returned_ns=9_000 * MS, ttl_ms=1)
    late = replace(acquired("b", 0, 4), returned_ns=8_000 * MS, ttl_ms=1)
    assert rules(History(calls=[early, late])) == []


def test_one_state_with_two_tokens_is_found() -> None:
    """I3."""
    first, second = renewed("a", 10, 5), replace(renewed("a", 20, 5), seq=10)
    assert rules(History(calls=[acquired("a", 0, 5), first, second])) == ["I3"]


@pytest.mark.parametrize(
    "after", [renewed("a", 12, 5), unlocked("a", 12, 5), replace(renewed("b", 12, 5), did=Did.FIND)]
)
def test_what_was_released_stays_released(after: Call) -> None:
    """I6: never renewable, never released again, never reported as held."""
    after = replace(after, token="")
    assert rules(History(calls=[acquired("a", 0, 5), unlocked("a", 10, 5), after])) == ["I6"]
    at_once = replace(after, invoked_ns=11 * MS)  # sent before the unlock's answer came
    assert rules(History(calls=[acquired("a", 0, 5), unlocked("a", 10, 5), at_once])) == []


def test_an_unknown_acquisition_is_no_hold() -> None:
    """A client without an answer believes nothing."""
    unknown = replace(acquired("a", 0, 0), ok=None, token="")
    assert check(History(calls=[unknown, acquired("b", 10, 1)])) == []


# --- what nodes did -----------------------------------------------------------------------


def deed(  # noqa: PLR0913 - the fields of a deed
    at: int, node: str, what: Act, seq: int = 1, *, view: int = 7, left_ns: int = 1
) -> Deed:
    return Deed(at, node, hash(node), what, "k", 8, seq, view, left_ns)


TAKEN = deed(0, "z", Act.ACCEPTED, 9)
GRANTED = [TAKEN, deed(1, "a", Act.GRANTED), deed(2, "a", Act.ACKNOWLEDGED)]


@pytest.mark.parametrize(
    ("rule", "more"),
    [
        ("I3", [deed(3, "b", Act.GRANTED)]),
        ("I4", [deed(3, "b", Act.RENEWED, 3), deed(4, "b", Act.ACKNOWLEDGED, 3),
                deed(5, "a", Act.RENEWED, 2), deed(6, "a", Act.ACKNOWLEDGED, 2)]),
        ("I4", [deed(3, "b", Act.RENEWED, 3), deed(4, "b", Act.ACKNOWLEDGED, 3),
                deed(5, "a", Act.RENEWED, 4), deed(6, "a", Act.ACKNOWLEDGED, 4)]),
        ("I6", [deed(3, "a", Act.RELEASED, 2), deed(4, "a", Act.FREED, 2), deed(5, "b", Act.PROMOTED)]),
        ("I7", [deed(3, "a", Act.ADOPTED, view=9), deed(4, "a", Act.ADOPTED, view=8)]),
        ("I7", [deed(3, "b", Act.STARTED, view=9), deed(4, "b", Act.RENEWED, 2, view=8)]),
        ("I9", [deed(3, "a", Act.RENEWED, 2, left_ns=0)]),
    ],
)  # fmt: skip
def test_what_no_node_may_do_is_found(rule: str, more: list[Deed]) -> None:
    assert rule in rules(History(deeds=[*GRANTED, *more]))


@pytest.mark.parametrize(
    "more",
    [
        [deed(3, "b", Act.RENEWED, 3), deed(4, "b", Act.ACKNOWLEDGED, 3), deed(5, "a", Act.RENEWED, 2)],
        [deed(3, "b", Act.RENEWED, 3), deed(4, "a", Act.RENEWED, 2), deed(5, "a", Act.ACKNOWLEDGED, 2)],
        [deed(3, "a", Act.RELEASED, 2), deed(4, "b", Act.PROMOTED), deed(5, "a", Act.FREED, 2)],
        [deed(3, "a", Act.ADOPTED, view=9), deed(4, "a", Act.ADOPTED, view=10)],
        [deed(3, "a", Act.TOOK_BACK, 2, left_ns=-1)],
    ],
)
def test_near_misses_of_nodes_pass(more: list[Deed]) -> None:
    """What was not acknowledged promised nothing; what nobody was told of may be taken back at any time."""
    assert rules(History(deeds=[*GRANTED, *more])) == []


@pytest.mark.parametrize(
    "taken",
    [
        [],
        [deed(0, "a", Act.ACCEPTED, 9)],
        [deed(0, "z", Act.ACCEPTED, 9, view=6)],
        [deed(0, "z", Act.ACCEPTED, 1)],
        [deed(0, "a", Act.ALONE, 1)],
    ],
)
def test_what_a_second_node_did_not_take_in_this_view_may_not_be_told(taken: list[Deed]) -> None:
    """I12, the pair rule: not itself, not in another view, not something older."""
    renewed_alone = [deed(1, "a", Act.RENEWED, 2), deed(2, "a", Act.ACKNOWLEDGED, 2)]
    assert rules(History(deeds=[*taken, *renewed_alone])) == ["I12"]


def test_what_is_told_with_a_second_node_or_without_any_passes() -> None:
    """Near misses of I12: exactly this state, a newer one, or nobody else in the ring."""
    told = [deed(2, "a", Act.RENEWED, 2), deed(3, "a", Act.ACKNOWLEDGED, 2)]
    assert rules(History(deeds=[deed(0, "z", Act.ACCEPTED, 2), *told])) == []
    assert rules(History(deeds=[deed(0, "z", Act.ACCEPTED, 3), *told])) == []
    assert rules(History(deeds=[deed(0, "a", Act.ALONE, 2), *told])) == []


@pytest.mark.parametrize("did", [Act.RELEASED, Act.TOOK_BACK])
def test_an_unlock_that_a_handover_caught_may_be_told_of_a_view_later(did: Act) -> None:
    """Near misses of I12: whether the lock was ever told of makes no difference (seed 7000955 with sessions)."""
    told = [deed(1, "a", did, 2, view=7), deed(3, "a", Act.FREED, 2, view=8)]
    for view, broken in ((6, ["I12"]), (7, []), (8, [])):
        taken = deed(0 if view == 6 else 2, "z", Act.ACCEPTED, 2, view=view)
        assert rules(History(deeds=sorted([taken, *told], key=lambda each: each.at_ns))) == broken


# --- the register -------------------------------------------------------------------------


def test_a_guarded_register_refuses_who_was_overtaken() -> None:
    """I10: what generations are for."""
    registers = Registers()
    base = registers.read("k", 1)
    assert base == 0
    assert registers.read("k", 2) == 0
    registers.write(1, "late", "k", 1, base)
    registers.write(2, "holder", "k", 2, 0)
    assert [w.accepted for w in registers.writes] == [False, True]
    assert rules(History(writes=registers.writes)) == []


def test_a_lost_update_is_found() -> None:
    """I10: two writers with one generation pass the guard, and one of them wrote on top of what it had not seen."""
    writes = [Write(1, "a", "k", 5, 0, 1), Write(2, "b", "k", 5, 0, 2)]
    assert rules(History(writes=writes)) == ["I10"]


# --- brute force --------------------------------------------------------------------------


def drawn(chance: Random, *, instant: bool) -> list[Call]:
    """Return a short history of three clients, all answered with ok: right by chance, and mostly wrong."""
    calls: list[Call] = []
    at_ms = 0
    for number in range(chance.randint(2, 5)):
        at_ms += chance.randint(1, 3)
        did = chance.choice((Did.ACQUIRE, Did.ACQUIRE, Did.RENEW, Did.UNLOCK))
        lasts_ns = 0 if instant else chance.randint(0, 4) * MS
        generation = chance.randint(1, 3)
        client = f"c{generation if instant or chance.random() < 0.8 else chance.randint(1, 3)}"
        ttl_ms = 0 if did is Did.UNLOCK else chance.randint(1, 5)
        token = f"t{number}"
        calls.append(Call(client, did, "k", at_ms * MS, ttl_ms, at_ms * MS + lasts_ns, True, generation, number, token))
    return calls


def known(calls: list[Call]) -> bool:
    """Say whether each generation is acquired before it is renewed or released: nobody has a token otherwise."""
    seen: set[int] = set()
    for call in calls:
        if call.did is Did.ACQUIRE:
            seen.add(call.generation)
        elif call.generation not in seen:
            return False
    return True


def test_the_checker_never_accuses_what_brute_force_can_explain() -> None:
    """No false alarm: a violation is one whatever happened in between."""
    chance = Random(1)  # noqa: S311 - reproducible, not secret
    explained = 0
    for _ in range(HISTORIES):
        calls = [replace(c, ok=None if chance.random() < 0.1 else True) for c in drawn(chance, instant=False)]
        if linearizable(calls):
            explained += 1
            assert rules(History(margin=0.0, calls=calls)) == [], calls
    assert explained > HISTORIES // 20


def test_where_calls_take_no_time_the_checker_and_brute_force_agree() -> None:
    """Nothing is missed either, where there is only one order to explain."""
    chance = Random(2)  # noqa: S311 - reproducible, not secret
    verdicts = []
    for _ in range(HISTORIES):
        calls = drawn(chance, instant=True)
        if known(calls):
            verdicts.append(linearizable(calls))
            assert (rules(History(margin=0.0, calls=calls)) == []) == verdicts[-1], calls
    assert verdicts.count(True) > 100 < verdicts.count(False)


# --- files --------------------------------------------------------------------------------


def test_a_history_survives_its_file_without_its_tokens(tmp_path: Path) -> None:
    """Judged from a file it is judged alike, and the file gives nobody a lock."""
    history = History(
        margin=0.03,
        calls=[acquired("a", 0, 5), unlocked("a", 10, 5), renewed("a", 12, 5)],
        deeds=GRANTED,
        writes=[Write(1, "a", "k", 5, 0, 1)],
    )
    path = tmp_path / "history.ndjson"
    write_history(history, path)
    again = read_history(path)
    assert "t5" not in path.read_text()
    assert (again.margin, again.deeds, again.writes) == (history.margin, history.deeds, history.writes)
    assert rules(again) == rules(history) == ["I6"]


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"record": "tale"}', '{"record": "call", "key": 1}', '{"record": "deed"}']
)
def test_a_line_that_is_no_record_is_named(line: str) -> None:
    with pytest.raises(BadHistory, match="line 2 "):
        history_of([*lines_of(History()), line])


def test_the_command_judges_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "history.ndjson"
    monkeypatch.setattr("sys.argv", ["ndjson", str(path)])
    assert main() == 2
    write_history(History(calls=[acquired("a", 0, 5)]), path)
    assert main() == 0
    write_history(History(calls=[acquired("a", 0, 5), acquired("b", 5, 5)]), path)
    assert main() == 1
    assert "I2" in capsys.readouterr().out


def test_a_failure_is_told_with_its_transcript(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads it sees what each party did, without running anything."""
    monkeypatch.setattr("lockcore.core.leases.LeaseTable.raise_floor", lambda _self, _generation: None)
    verdict = next(v for seed in range(50) if (v := simulate(seed)).violations)
    assert "faults         master         a:1" in verdict.transcript
    assert verdict.transcript.count("\n") > 5
