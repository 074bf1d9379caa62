"""Each expectation has a history that keeps it, one that breaks it, and one of which nobody can say."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from dlmsite.operations.scenarios import ringverdicts, verdicts
from dlmsite.operations.scenarios.catalog import SCENARIOS
from dlmsite.operations.scenarios.facts import Answer, Belief, Deed, Published, Record, Seen, Told
from dlmsite.operations.scenarios.verdicts import Judge, Result

S = 1_000_000_000
GEN = 1_790_000_000_000_000_777


def at(seconds: float) -> int:
    return int(seconds * S)


def told(seconds: float, source: str, kind: str, generation: int = GEN, peer: str = "") -> Told:
    return Told(int(seconds * 100) + 1, at(seconds), source, kind, generation, peer=peer)


def answer(seconds: float, says: str, node: str = "", asked: float | None = None, *, until: float = 0) -> Answer:
    return Answer(at(seconds if asked is None else asked), at(seconds), at(until or seconds), says, node)


def belief(seconds: float, what: str, generation: int = GEN, why: str = "") -> Belief:
    return Belief(at(seconds), what, generation, sent_ns=at(seconds), why=why)


def view(seconds: float, *up: str, version: int = 1) -> Published:
    return Published(int(seconds * 100), version, at(seconds), frozenset(up))


ALL = ("n1", "n2", "n3")
KILL = Deed(1, "kill", "n1", "done", at(1), at(1.2))
RESTART = Deed(2, "restart", "n1", "done", at(5), at(7))
PAUSE = Deed(3, "pause", "n1", "done", at(1), at(1.2))
RESUME = Deed(4, "resume", "n1", "done", at(4), at(4.2))
CUT = Deed(5, "isolate", "n1", "done", at(1), at(1.2))

GOOD = Record(
    primary="n1",
    backup="n2",
    generation=GEN,
    beliefs=(belief(0.1, "got"), belief(4, "renewed"), belief(9, "released")),
    answers=(
        answer(0.5, "held"),
        answer(1.1, "recovering"),
        answer(1.4, "held"),
        answer(4.1, "not_serving", "n1", asked=3),
    ),
    deeds=(KILL, RESTART),
    lock=(
        told(0.1, "n1", "granted"),
        told(1.2, "n2", "promoted"),
        told(6, "n1", "transferred"),
        told(9, "n1", "released"),
    ),
    nodes=(told(1.1, "master", "died", 0, "n1"), told(1.9, "master", "joined", 0, "n1")),
    views=(view(0, *ALL), view(1.1, "n2", "n3"), view(3, *ALL, version=2)),
    seen=tuple(Seen(label, GEN if label == "n1" else 0) for label in ALL),
    before=ALL,
    after=ALL,
    gap="",
)
SLEPT = replace(GOOD, deeds=(PAUSE, RESUME))
SEVERED = replace(
    GOOD,
    deeds=(CUT,),
    answers=(answer(3, "not_serving", "n1"),),
    lock=(told(0.1, "n1", "granted"), told(3.6, "n2", "promoted"), told(9, "n2", "released")),
    nodes=(told(3, "n1", "fenced", 0),),
)
BOTH = replace(GOOD, lock=(told(0.1, "n1", "granted"), told(2, "n3", "readmitted"), told(9, "n3", "released")))
ROLLED = replace(
    GOOD,
    nodes=tuple(told(i, "master", "joined", 0, label) for i, label in enumerate(ALL)),
    views=(view(0, *ALL), view(1, "n2", "n3"), view(2, *ALL)),
)
TWICE = (*ROLLED.nodes, replace(ROLLED.nodes[0], detail="another life"))
renewed, served, backup = (
    verdicts.renewed_after("kill", 12),
    verdicts.served_again(3),
    verdicts.served_by_backup("kill"),
)
OPEN: dict[str, object] = {"gap": "not all is recorded"}

CASES: list[tuple[Judge, Record, dict[str, object], dict[str, object]]] = [
    (verdicts.same_generation, GOOD, {"lock": (*GOOD.lock, told(7, "n3", "promoted", GEN + 1))}, OPEN),
    (verdicts.same_generation, GOOD, {"beliefs": (*GOOD.beliefs, belief(5, "renewed", GEN + 1))}, {"generation": 0}),
    (verdicts.holder_believes, GOOD, {"beliefs": (belief(0, "got"), belief(2, "lost", why="gone"))}, {"beliefs": ()}),
    (verdicts.nobody_else, GOOD, {"answers": (*GOOD.answers, answer(5, "granted"))}, OPEN),
    (verdicts.nobody_else, GOOD, {"lock": (*GOOD.lock, told(5, "n3", "granted", GEN + 1))}, {"answers": ()}),
    (verdicts.nobody_else, GOOD, {"seen": (Seen("n3", GEN + 5),)}, {"seen": (Seen("n3", None),)}),
    (served, GOOD, {"answers": (answer(4.5, "held", asked=4),)}, {"answers": (), **OPEN}),
    (served, GOOD, {"answers": ()}, {"deeds": ()}),
    (renewed, GOOD, {"beliefs": (belief(0.1, "got"), belief(2, "lost"))}, {"beliefs": GOOD.beliefs[:1], **OPEN}),
    (renewed, GOOD, {"beliefs": (belief(0.1, "got"), belief(14, "renewed"))}, {"deeds": ()}),
    (backup, GOOD, {"lock": (told(1.2, "n3", "promoted"),)}, {"lock": GOOD.lock[:1], **OPEN}),
    (backup, GOOD, {"lock": GOOD.lock[:1]}, {"deeds": ()}),
    (verdicts.moves_home, GOOD, {"lock": GOOD.lock[:2]}, {"deeds": (KILL,)}),
    (verdicts.moves_home, GOOD, {"lock": (told(6, "n3", "transferred"),)}, {"lock": GOOD.lock[:2], **OPEN}),
    (verdicts.kept_out, GOOD, {"answers": (answer(1.5, "granted"),)}, {"answers": (answer(1.5, "held"),)}),
    (verdicts.readmitted, BOTH, {"lock": (told(2, "n3", "readmitted", GEN + 1),)}, {"lock": GOOD.lock[:1], **OPEN}),
    (verdicts.refuses_once_awake, SLEPT, {"answers": (answer(4.1, "granted", "n1"),)}, {"answers": ()}),
    (
        verdicts.refuses_while_cut,
        SEVERED,
        {"answers": (*SEVERED.answers, answer(3.1, "granted", "n1"))},
        {"answers": (answer(2, "held", "n1"),)},
    ),
    (
        ringverdicts.one_ring_update,
        GOOD,
        {"views": (*GOOD.views[:2], view(2, "n2", "n3", version=2), view(3, *ALL, version=3))},
        {"nodes": (GOOD.nodes[0], told(2.2, "master", "joined", 0, "n1"))},
    ),
    (ringverdicts.one_ring_update, GOOD, {"views": GOOD.views[:2]}, OPEN),
    (ringverdicts.each_restarted_once, ROLLED, {"nodes": ROLLED.nodes[:2]}, {"nodes": ROLLED.nodes[:2], **OPEN}),
    (
        ringverdicts.each_restarted_once,
        ROLLED,
        {"nodes": TWICE},
        {"before": ()},
    ),
    (ringverdicts.one_away_at_a_time, ROLLED, {"views": (*ROLLED.views, view(4, "n2"))}, OPEN),
    (
        ringverdicts.stops_before_another_serves,
        SEVERED,
        {"nodes": (told(3.7, "n1", "fenced", 0),)},
        {"nodes": (), **OPEN},
    ),
    (ringverdicts.as_before, GOOD, {"after": ("n1", "n2")}, {"after": None}),
    (ringverdicts.as_before, GOOD, {"after": ("n3",)}, {"lock": GOOD.lock[:3]}),
]


@pytest.mark.parametrize(("judge", "history", "breaks", "hides"), CASES)
def test_what_is_expected_is_kept_broken_or_unknown(
    judge: Judge, history: Record, breaks: dict[str, object], hides: dict[str, object]
) -> None:
    found = [judge(history), judge(replace(history, **breaks)), judge(replace(history, **hides))]  # type: ignore[arg-type]
    assert [verdict.result for verdict in found] == [Result.KEPT, Result.BROKEN, Result.UNKNOWN], found
    assert all(verdict.measured for verdict in found)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=list(SCENARIOS))
def test_nothing_is_kept_without_a_fact(scenario: object) -> None:
    """A run that has not begun has measured nothing, whatever is said of it."""
    for expected in scenario.expects:  # type: ignore[attr-defined]
        assert expected.judge(Record()).result is Result.UNKNOWN, expected.id
        assert expected.judge(Record(gap="")).result is Result.UNKNOWN, expected.id


def test_what_did_not_happen_is_broken_only_where_all_is_recorded() -> None:
    missing = replace(GOOD, lock=GOOD.lock[:1])
    assert backup(missing).result is Result.BROKEN
    assert backup(replace(missing, gap="n1 is silent")).measured == (
        "no other node told that it serves the lock, as far as is recorded: n1 is silent"
    )


def test_a_renewal_by_the_old_node_does_not_count_where_another_serves() -> None:
    """A node that is cut off serves for two seconds yet; what is expected is of the time after."""
    judge = verdicts.renewed_after("isolate", 12)
    early = (belief(0.1, "got"), belief(2, "renewed"))
    assert judge(replace(SEVERED, beliefs=early)).result is Result.BROKEN
    verdict = judge(replace(SEVERED, beliefs=(*early, belief(5, "renewed"))))
    assert verdict.measured == f"renewed after 4.00 s, with generation {GEN}"


def test_answers_that_go_on_over_a_fault_count_by_the_longest_pause() -> None:
    """They are one fact, and its first answer was long before; what matters is how long nobody was answered."""
    merged: list[Answer] = []
    for seconds in (0.5, 0.8, 3.2, 3.4):
        merged = verdicts.answers_merged(merged, answer(seconds, "held"))
    (one,) = merged
    assert (one.count, one.pause_ns, one.until_ns) == (4, at(3.2) - at(0.8), at(3.4))
    assert served(replace(GOOD, answers=(one,))).measured == "answers came all the time, at most 2.40 s apart"
    slow = verdicts.answers_merged(merged, answer(8, "held"))
    assert served(replace(GOOD, answers=tuple(slow))).result is Result.BROKEN


def test_answers_of_different_nodes_and_kinds_stay_apart() -> None:
    merged: list[Answer] = []
    for one in (answer(1, "held"), answer(2, "held", "n1"), answer(3, "held"), answer(4, "granted"), answer(5, "held")):
        merged = verdicts.answers_merged(merged, one)
    assert [(a.node, a.says, a.count) for a in merged] == [
        ("", "held", 2), ("n1", "held", 1), ("", "granted", 1), ("", "held", 1),
    ]  # fmt: skip


def test_every_judge_of_the_catalogue_is_tried_here() -> None:
    """A judge that no history breaks proves nothing."""
    tried = {_name(judge) for judge, *_ in CASES}
    used = {_name(expected.judge) for scenario in SCENARIOS.values() for expected in scenario.expects}
    assert used <= tried


def _name(judge: Callable[..., object]) -> str:
    return judge.__qualname__.partition(".")[0]
