"""Every invariant that the core's docstrings name has a test that fails without it.

Elsewhere: the changes (mutations, mutations_master), the same idea under random faults (tests/simulation).
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lockcore.core
from tests.lockcore.core import mutations as m
from tests.lockcore.core import (
    mutations_healing,
    mutations_ranges,
    mutations_weed,
    test_admission,
    test_cleaning,
    test_handover,
    test_inbox,
    test_keeping,
    test_leases,
    test_ledger,
    test_liveness,
    test_master,
    test_master_members,
    test_master_restart,
    test_node,
    test_outbox,
    test_queueing,
    test_queueing_faults,
    test_rangefiles,
    test_ranging,
    test_ranging_faults,
    test_reach,
    test_region,
    test_ring,
    test_serving,
    test_serving_waits,
    test_sessions,
    test_silence,
    test_tokens,
    test_view,
    test_views,
    test_views_pending,
)
from tests.lockcore.core import mutations_master as mm
from tests.lockcore.core import mutations_sessions as ms
from tests.lockcore.core.bench import Bench

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

CORE = Path(lockcore.core.__file__).parent
INVARIANT = re.compile(r"^  ([A-Z]\d+)  ", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """An invariant, what takes it out, and the test that must fail then (with its arguments)."""

    invariant: str
    mutate: Callable[[pytest.MonkeyPatch], None]
    test: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


ROWS = (
    Row("R1", m.leave_neighbours_apart, test_region.test_intervals_are_sorted_disjoint_and_never_adjacent),
    Row("H1", m.place_by_modulo, test_ring.test_removing_a_server_moves_only_its_keys_and_each_to_its_backup),
    Row("H2", m.compare_rings_by_identity, test_ring.test_equal_servers_and_down_marks_make_equal_rings),
    Row(
        "H3",
        m.first_server_keeps_a_collision,
        test_ring.test_where_virtual_nodes_collide_the_server_that_sorts_last_owns_the_position,
        (test_ring.TWINS,),
    ),
    Row(
        "V1",
        m.promise_continuity_always,
        test_ledger.test_an_unknown_past_owes_a_grace_everywhere_and_promises_no_continuity,
    ),
    Row("V2", m.know_members_by_address, test_view.test_a_restarted_node_is_another_member),
    Row("T1", m.leave_the_key_out_of_the_token, test_tokens.test_a_token_of_another_key_or_secret_never_verifies),
    Row("T2", m.salt_tokens, test_tokens.test_one_grant_has_one_token),
    Row("L1", m.keep_the_lease_before, test_leases.test_a_key_has_one_lease_at_most),
    Row("L2", m.count_generations_alone, test_leases.test_a_grant_is_above_every_generation_ever_seen),
    Row("L3", m.take_any_order, test_leases.test_merged_states_end_at_the_greatest_order_whatever_the_arrival),
    Row(
        "L4",
        m.honour_the_newest_token_only,
        test_leases.test_the_previous_token_is_good_until_the_holder_has_shown_a_newer_one,
    ),
    Row("F1", m.never_fence, test_liveness.test_the_lease_runs_from_when_the_heartbeat_was_sent),
    Row(
        "F2",
        m.take_any_acknowledgement,
        test_liveness.test_an_acknowledgement_in_a_view_that_the_node_does_not_have_counts_nothing,
    ),
    Row("A1", m.carry_everything_over, test_handover.test_completeness_is_carried_over_only_within_the_new_pair),
    Row("A2", m.believe_in_continuity, test_handover.test_a_view_that_skips_one_carries_nothing_over),
    Row("A3", m.owe_no_grace, test_serving_waits.test_in_a_grace_nobody_gets_a_fresh_lock),
    Row(
        "I1",
        m.take_batches_of_any_view,
        test_inbox.test_a_batch_of_another_view_changes_nothing_and_is_told_so,
        (-1,),
    ),
    Row("I2", m.take_records_of_any_role, test_inbox.test_a_record_is_taken_only_in_the_role_the_ring_gives),
    Row(
        "I3",
        m.give_up_what_has_changed,
        test_inbox.test_a_lock_that_changed_under_way_is_sent_again_before_it_is_given_up,
    ),
    Row("O1", m.take_any_answer, test_outbox.test_the_answer_to_a_batch_that_was_given_up_counts_nothing),
    Row("O2", m.seal_at_once, test_outbox.test_a_seal_leaves_only_in_the_batch_that_empties_the_queue),
    Row(
        "S1",
        m.serve_without_state,
        test_serving_waits.test_a_parked_acquisition_meets_the_lock_that_was_handed_over_meanwhile,
    ),
    Row(
        "S2",
        m.redirect_in_the_window,
        test_serving_waits.test_the_old_primary_serves_the_holder_until_the_new_one_has_the_lock,
    ),
    Row(
        "S3",
        m.forward_for_ever,
        test_serving.test_a_request_that_had_its_one_hop_is_never_forwarded_again,
        ("by a peer",),
    ),
    Row(
        "S4",
        ms.change_old_copies,
        test_queueing_faults.test_a_new_primary_changes_no_lock_for_a_session_before_it_knows_all,
    ),
    Row(
        "S5",
        m.never_ask_the_heir,
        test_serving_waits.test_an_unlock_in_the_window_reaches_the_new_primary_as_a_tombstone,
    ),
    Row("S7", ms.serve_any_copy, test_queueing_faults.test_a_new_primary_serves_no_copy_of_another_before_it_knows_all),
    Row("S6", m.name_whom_it_remembers, test_serving.test_who_holds_a_lock_is_said_when_the_backup_knows_the_same),
    Row("Q1", m.answer_twice, test_serving.test_a_request_is_answered_once),
    Row("Q2", m.park_without_bound, test_serving_waits.test_parking_is_bounded, ("a patch",)),
    Row("E1", m.tell_facts_after_replies, test_serving.test_a_fact_is_emitted_directly_before_the_reply_it_belongs_to),
    Row("N1", m.never_fence, test_node.test_a_node_that_cannot_reach_the_master_fences_itself),
    Row("N2", m.acknowledge_alone, test_serving.test_a_mutation_is_answered_only_when_the_backup_has_it, ("grant",)),
    Row("N3", m.enter_any_view, test_views.test_a_view_that_is_not_newer_is_refused_and_changes_nothing, (-1,)),
    Row("P1", m.serve_without_state, test_views.test_a_copy_in_a_range_that_is_not_complete_is_not_promoted),
    Row("P3", m.rehome_everything, test_views_pending.test_a_fresh_grant_of_a_view_that_was_missed_is_taken_back),
    Row("P2", m.stop_serving_at_once, test_inbox.test_a_lock_stays_here_until_its_new_primary_has_accepted_it),
    Row(
        "G1",
        mm.forgive_when_settled,
        test_ledger.test_a_grace_is_in_every_view_until_it_has_run_out_whoever_joins,
    ),
    Row("G2", mm.number_by_the_clock, test_ledger.test_numbers_only_rise_whatever_the_clock_and_the_nodes_say),
    Row(
        "G3",
        mm.date_graces_by_the_wall_clock,
        test_ledger.test_a_grace_goes_on_through_a_restart_whatever_the_wall_clock_says,
        (-3_600_000,),
    ),
    Row(
        "G4",
        mm.take_newer_for_wiser,
        test_master_restart.test_nodes_of_a_past_that_a_new_master_did_not_know_of_come_with_a_grace,
    ),
    Row(
        "M1",
        mm.number_by_the_clock,
        test_master_restart.test_versions_rise_across_a_restart_whatever_the_clock_says,
        (True, -3_600_000),
    ),
    Row(
        "M2",
        mm.judge_too_early,
        test_master_members.test_a_silent_member_is_marked_down_after_node_lease_and_margin_and_not_before,
    ),
    Row("M3", mm.journal_last, test_master.test_the_journal_is_written_before_a_view_leaves),
    Row(
        "M4",
        mm.know_connections_by_address,
        test_master_members.test_the_late_closing_stream_of_an_old_incarnation_is_harmless,
    ),
    Row("J1", ms.wake_the_dead, test_sessions.test_a_session_that_lapsed_is_never_alive_again),
    Row("J2", ms.free_at_once, test_queueing.test_a_lapsed_session_can_be_taken_over_until_it_is_cleaned_up),
    Row(
        "J3", ms.believe_any_secret, test_keeping.test_a_wrong_proof_is_refused_and_harms_nothing, ("a bench", "secret")
    ),
    Row("L5", ms.forget_who_waits, test_queueing.test_a_session_that_goes_silent_leaves_every_queue_at_once),
    Row(
        "X1",
        ms.answer_extensions_alone,
        test_keeping.test_an_extension_is_answered_when_every_living_member_has_it,
        ("a bench", "b:2"),
    ),
    Row("X2", ms.hear_no_objection, test_keeping.test_where_one_member_knows_better_the_session_is_over, ("a bench",)),
    Row(
        "X3",
        ms.say_over_too_soon,
        test_queueing_faults.test_a_newcomer_says_of_no_session_that_it_is_over_before_it_was_told_of_all,
    ),
    Row(
        "U1", ms.grant_past_the_queue, test_queueing.test_nobody_passes_a_queue_neither_with_a_session_nor_with_a_token
    ),
    Row("U2", ms.serve_the_dead, test_queueing.test_a_request_after_the_end_of_its_session_is_refused),
    Row(
        "X4",
        ms.clean_up_at_once,
        test_cleaning.test_no_step_cleans_up_more_than_so_many_keys_and_none_is_forgotten,
        ("a patch",),
    ),
    Row("U5", ms.forget_who_gave_up, test_queueing_faults.test_an_acquisition_that_its_unlock_overtook_is_not_granted),
    Row("U3", ms.do_it_again, test_queueing.test_a_repeated_acquisition_is_answered_and_not_done_twice),
    Row("U4", ms.unlock_and_lock, test_queueing.test_a_migration_keeps_the_generation_and_everybody_else_s_place),
    Row(
        "Z1",
        ms.apply_changes_anywhere,
        test_rangefiles.test_who_has_another_state_is_told_all_and_who_follows_what_changed,
    ),
    Row("Z2", ms.take_back_the_number_only, test_rangefiles.test_what_is_taken_back_leaves_the_file_as_it_was_before),
    Row("Y1", ms.answer_ranges_at_once, test_ranging.test_a_range_is_answered_when_the_backup_has_it),
    Row(
        "Y2",
        ms.forget_who_gave_up,
        test_ranging_faults.test_a_late_attempt_of_a_range_that_was_refused_takes_nothing,
        (0,),
    ),
    Row("Y2", ms.do_ranges_again, test_ranging.test_a_repeated_range_operation_is_answered_and_not_done_twice),
    Row("P4", ms.bring_everything_back, test_ranging.test_who_may_have_been_out_forgets_what_sessions_held),
    Row(
        "P5",
        ms.go_on_as_before,
        test_serving_waits.test_what_was_decided_before_its_node_is_primary_again_outranks_what_the_other_did_meanwhile,
    ),
    Row(
        "P5",
        ms.go_on_as_before,
        test_ranging_faults.test_ranges_that_were_let_go_before_their_node_is_primary_again_stay_so,
    ),
    Row("M6", mm.part_at_any_price, test_silence.test_being_apart_never_makes_a_double_failure, (True,)),
    Row(
        "M7",
        mm.let_anybody_back_in,
        test_admission.test_who_was_marked_down_stays_out_while_it_does_not_reach_a_member,
    ),
    Row("M8", mm.count_silence_from_anywhen, test_silence.test_being_apart_counts_only_while_the_master_hears_both),
    Row(
        "K1", mm.begin_silence_anew, test_reach.test_silence_counts_from_the_first_question_however_often_it_is_repeated
    ),
    Row("K2", mm.trust_the_unknown, test_reach.test_who_has_never_answered_is_not_reached),
    Row(
        "M9",
        mm.acknowledge_without_a_view,
        test_master_restart.test_a_master_that_lost_its_journal_does_not_let_one_serve_that_was_put_out,
    ),
    Row("M5", mm.publish_whoever_is_first, test_master_restart.test_a_join_waits_until_the_known_members_are_back),
    *(
        Row("B5", mutate, test_ranging_faults.test_nobody_who_waits_for_bytes_is_granted_in_a_grace, (goes,))
        for mutate, goes in ((mutations_ranges.never_pause, "ends"), (mutations_ranges.never_go_on, "unlocks"))
    ),
    *(Row(invariant, mutate, test) for invariant, mutate, test in mutations_ranges.ROWS),
    *(Row(*row) for row in mutations_healing.ROWS),
    *(Row(*row) for row in mutations_weed.ROWS),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.invariant}-{row.mutate.__name__}")
def test_the_test_of_an_invariant_fails_without_it(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that passes whatever the code does proves nothing."""
    known = {"a patch": monkeypatch, "a bench": Bench(peers=("b:2", "c:3")).settle()}
    arguments = [known.get(a, a) for a in row.arguments]
    with monkeypatch.context() as patch:
        row.mutate(patch)
        with pytest.raises((AssertionError, ExceptionGroup)):
            row.test(*arguments)


def test_every_invariant_in_the_docstrings_of_the_core_has_a_row() -> None:
    """Who writes down a new one says here how it would be missed."""
    named: set[str] = set()
    for path in CORE.glob("*.py"):
        named |= set(
            INVARIANT.findall(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")), clean=False) or "")
        )
    assert named == {row.invariant for row in ROWS}


def test_each_change_says_which_invariant_it_takes_out() -> None:
    for row in ROWS:
        assert row.invariant in (row.mutate.__doc__ or "").partition(":")[0].replace(".", ""), row
