"""What is in the way of a scenario is said, with what can be done about it."""

import pytest

from dlmsite.operations.scenarios.catalog import SCENARIOS, Act, Each, Expectation, Release, Take, tell
from dlmsite.operations.scenarios.needs import Lack, Situation, lack_of

FINE = {"up": ("n1", "n2", "n3"), "settled": True}
BOTH, ONE = SCENARIOS["kill-both"], SCENARIOS["kill-primary"]


def test_nothing_is_in_the_way_of_anything_on_three_settled_nodes() -> None:
    assert [lack_of(scenario, Situation(**FINE)) for scenario in SCENARIOS.values()] == [None] * 6  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "told", "remedy", "label"),
    [
        ({"settled": False}, "The cluster is settling", "wait", ""),
        ({"down": ("n3",)}, "The cluster is settling (not in the ring: n3)", "wait", ""),
        ({"away": ("n1",)}, "The cluster is settling (not in the ring: n1)", "wait", ""),
        ({"rehearsing": "eve"}, "eve rehearses now", "stop", ""),
        ({"trying": "eve tries “Rolling restart”"}, "One at a time: eve tries “Rolling restart”", "cancel", ""),
        ({"held": (("n2", "paused"),)}, "n2 is paused. Resume it first", "resume", "n2"),
        ({"held": (("n2", "isolated from the master"),)}, "Heal it first", "heal", "n2"),
        ({"acting": (("n1", "restart"),)}, "restart n1 is under way", "wait", ""),
        ({"unseen": "The master was last seen 9 s ago"}, "last seen 9 s ago", "wait", ""),
    ],
)
def test_what_is_in_the_way_is_said_with_what_to_do(
    more: dict[str, object], told: str, remedy: str, label: str
) -> None:
    lack = lack_of(ONE, Situation(**{**FINE, **more}))  # type: ignore[arg-type]
    assert lack is not None
    assert told in lack.text
    assert (lack.remedy, lack.label) == (remedy, label)


def test_too_few_nodes_are_offered_to_be_more() -> None:
    two = Situation(up=("n1", "n2"), settled=True)
    assert lack_of(ONE, two) is None
    assert lack_of(BOTH, two) == Lack("It needs 3 nodes, and 2 are up. Add a node.", "add")
    idle = Situation(up=("n1", "n2"), idle=("n3",), settled=True)
    assert lack_of(BOTH, idle) == Lack("It needs 3 nodes, and 2 are up. Start n3 again.", "restart", "n3")
    alone = lack_of(ONE, Situation(up=("n1",), settled=True))
    assert alone is not None
    assert alone.text == "It needs 2 nodes, and 1 is up. Add a node."


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=list(SCENARIOS))
def test_every_scenario_takes_its_lock_first_and_releases_it_last(scenario: object) -> None:
    steps = scenario.steps  # type: ignore[attr-defined]
    assert isinstance(steps[0].doing, Take)
    assert isinstance(steps[-1].doing, Release)
    assert any(isinstance(step.doing, Act | Each) for step in steps)
    texts = [step.says for step in steps] + [expected.says for expected in scenario.expects]  # type: ignore[attr-defined]
    named = [tell(text, {"primary": "n1", "backup": "n2"}) for text in texts]
    assert not [
        text
        for text in [*named, *(tell(text, {}) for text in texts)]
        if "{" in text or (not text[0].isupper() and text[0] != "n")
    ]
    assert len({expected.id for expected in scenario.expects}) == len(scenario.expects)  # type: ignore[attr-defined]


def test_a_text_names_the_nodes_once_there_are_some() -> None:
    backup: Expectation = ONE.expects[0]
    assert tell(backup.says, {}) == "The backup, its backup of before, serves it"
    assert tell(backup.says, {"primary": "n1", "backup": "n2"}) == "n2, its backup of before, serves it"
