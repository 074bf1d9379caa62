"""Rules taken out one at a time, and how long the simulator needs to miss each of them.

`make sim-mutants` prints the table. A rule whose absence no invariant can see is listed with the unit test that
holds it instead: most of those cost time or locks that nobody was promised, not safety.

Elsewhere: the mutations themselves (faulty, tests/lockcore/core/mutations), the part in `make test` (test_mutants).
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import pytest

from lockcore.testing.simulate import simulate
from lockcore.testing.single import simulate_single
from tests.lockcore.core import mutations as m
from tests.lockcore.core import mutations_master as mm
from tests.simulation import faulty as f

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.testing.simulate import Verdict

STARTS = (0, 10_000, 20_000, 30_000, 40_000)
SEEDS_MAX = 200


@dataclass(frozen=True)
class Mutant:
    """A rule, what takes it out, and how to look for it.

    `unit` names the test that holds a rule which the simulator finds rarely
    or, where it is not `visible` to any invariant, never.
    """

    rule: str
    mutate: Callable[[pytest.MonkeyPatch], None]
    run: Callable[[int], Verdict] = simulate
    quick: bool = False
    unit: str = ""
    visible: bool = True

    @property
    def name(self) -> str:
        """The mutation's name."""
        return self.mutate.__name__


MUTANTS = (
    Mutant("W1", m.serve_without_state, quick=True),
    Mutant("W2", m.count_generations_alone, quick=True),
    Mutant("W3 fence", m.never_fence),
    Mutant(
        "W3 F2",
        m.take_any_acknowledgement,
        unit="test_liveness.py::test_an_acknowledgement_in_a_view_that_the_node_does_not_have_counts_nothing",
        visible=False,
    ),
    Mutant("W3 W8 pair rule", m.acknowledge_alone, quick=True),
    Mutant(
        "W3 W11",
        f.take_batches_of_older_views,
        unit="test_inbox.py::test_a_replica_from_an_older_view_is_refused_after_the_view_has_changed",
    ),
    Mutant(
        "W4",
        m.give_up_what_has_changed,
        unit="test_inbox.py::test_a_lock_that_changed_under_way_is_sent_again_before_it_is_given_up",
    ),
    Mutant("W5", f.refuse_silently, unit="test_inbox.py::test_each_record_is_answered_by_itself"),
    Mutant("W5", f.lose_what_is_handed_over),
    Mutant("W5 O1", f.take_refusals_for_answers),
    Mutant("W6 W7", f.never_send_again),
    Mutant("W9", f.forget_tombstones),
    Mutant("W9 L3", m.take_any_order, quick=True),
    Mutant("W10", f.count_seqs_alone),
    Mutant("W12", mm.number_by_the_clock, quick=True),
    Mutant(
        "W13",
        mm.publish_whoever_is_first,
        unit="test_master_restart.py::test_a_join_waits_until_the_known_members_are_back",
    ),
    Mutant(
        "W14",
        mm.know_connections_by_address,
        unit="test_master_members.py::test_the_late_closing_stream_of_an_old_incarnation_is_harmless",
    ),
    Mutant("W15", f.answer_without_a_token),
    Mutant(
        "W15 S3",
        m.forward_for_ever,
        unit="test_serving.py::test_a_request_that_had_its_one_hop_is_never_forwarded_again",
        visible=False,
    ),
    Mutant("W16", f.expire_by_the_wall_clock),
    Mutant("W17 L4", m.honour_the_newest_token_only, simulate_single),
    Mutant(
        "W18",
        f.take_back_nothing,
        unit="test_serving.py::test_a_grant_that_its_backup_never_confirmed_is_taken_back",
        visible=False,
    ),
    Mutant("4 new life", m.know_members_by_address),
    Mutant("4 silence M2", f.judge_within_the_node_lease),
    Mutant(
        "4 tokens",
        f.forgive_superseded_tokens,
        unit="test_leases.py::test_a_token_of_an_older_generation_is_never_good",
    ),
    Mutant("4 readmission", f.readmit_without_a_grace),
    Mutant("4 lease", f.shorten_leases, quick=True),
    Mutant("4 grace", m.owe_no_grace, quick=True),
    Mutant("4 grace", f.keep_the_grace_short, unit="test_serving_waits.py::test_in_a_grace_nobody_gets_a_fresh_lock"),
    Mutant("4 grace G1", mm.forgive_when_settled),
    Mutant(
        "4 grace P3",
        m.rehome_everything,
        unit="test_views_pending.py::test_a_fresh_grant_of_a_view_that_was_missed_is_taken_back",
    ),
    Mutant(
        "5 one at a time",
        f.plan_while_unsettled,
        unit="test_master.py::test_planned_changes_wait_until_all_nodes_are_settled",
    ),
    Mutant("6 A1", m.carry_everything_over),
    Mutant("6 A2", m.believe_in_continuity, unit="test_handover.py::test_a_view_that_skips_one_carries_nothing_over"),
    Mutant(
        "6 V1",
        m.promise_continuity_always,
        unit="test_ledger.py::test_an_unknown_past_owes_a_grace_everywhere_and_promises_no_continuity",
    ),
    Mutant("6 N3", m.enter_any_view),
    Mutant(
        "6 roles I2",
        m.take_records_of_any_role,
        unit="test_inbox.py::test_a_record_is_taken_only_in_the_role_the_ring_gives",
    ),
    Mutant(
        "6 seal O2", m.seal_at_once, unit="test_outbox.py::test_a_seal_leaves_only_in_the_batch_that_empties_the_queue"
    ),
    Mutant("6 window", f.acknowledge_in_the_window),
    Mutant(
        "6 window P2",
        m.stop_serving_at_once,
        simulate_single,
        unit="test_inbox.py::test_a_lock_stays_here_until_its_new_primary_has_accepted_it",
    ),
    Mutant(
        "6 window S2",
        m.redirect_in_the_window,
        simulate_single,
        unit="test_serving_waits.py::test_the_old_primary_serves_the_holder_until_the_new_one_has_the_lock",
        visible=False,
    ),
    Mutant("6 surplus", f.drop_copies_at_once),
    Mutant(
        "6 replicate",
        f.replicate_nothing_received,
        unit="test_inbox.py::test_a_received_lock_is_served_and_copied_to_this_nodes_backup",
    ),
    Mutant(
        "6 order",
        f.take_batches_in_any_order,
        unit="test_inbox.py::test_a_duplicate_or_an_overtaken_batch_changes_nothing",
    ),
)


def find(mutant: Mutant, first: int, seeds_max: int = SEEDS_MAX) -> tuple[int, str] | None:
    """Return how many seeds it took, and which invariants spoke; None where none did.

    "no rest": the cluster never settles, or goes in a circle (I8).
    """
    with pytest.MonkeyPatch.context() as patch:
        mutant.mutate(patch)
        for seed in range(first, first + seeds_max):
            try:
                verdict = mutant.run(seed)
            except AssertionError:
                return seed - first + 1, "no rest"
            except Exception as error:  # noqa: BLE001 - a core without one of its rules may do anything
                return seed - first + 1, type(error).__name__
            if verdict.violations:
                return seed - first + 1, "+".join(sorted({v.rule for v in verdict.violations}))
    return None


def row(mutant: Mutant, starts: tuple[int, ...], seeds_max: int) -> str:
    """Return a line of the table."""
    if not mutant.visible:
        return f"{mutant.rule:16} {mutant.name:32} {'-':>6}  no invariant sees it; held by {mutant.unit}"
    found = [find(mutant, start, seeds_max) for start in starts]
    counts = [each[0] if each else seeds_max + 1 for each in found]
    rules = Counter(rule for each in found if each for rule in each[1].split("+"))
    missed = sum(1 for each in found if each is None)
    middle = median(counts)
    shown = f"{middle:.0f}" if middle <= seeds_max else f">{seeds_max}"
    named = ", ".join(f"{rule} {n}" for rule, n in rules.most_common())
    more = f"  (missed {missed} times; held by {mutant.unit or 'nothing else'})" if missed else ""
    return f"{mutant.rule:16} {mutant.name:32} {shown:>6}  {named}{more}"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Take rules out, and count the seeds until the simulator says so.")
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help=f"at most, for each start (default {SEEDS_MAX})")
    parser.add_argument("--starts", type=int, default=len(STARTS), help="how many starting points (default 5)")
    parser.add_argument("--only", default="", help="mutations whose name contains this")
    asked = parser.parse_args()
    out = sys.stdout
    out.write(f"{'rule':16} {'mutation':32} {'median':>6}  found by (times of {asked.starts})\n")
    for mutant in MUTANTS:
        if asked.only in mutant.name:
            out.write(row(mutant, STARTS[: asked.starts], asked.seeds) + "\n")
            out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
