"""The harness has teeth: every protocol that is broken on purpose is caught by the very tests that guard it."""

from __future__ import annotations

import errno
import inspect
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from contract import test_pause, test_steering
from contract.candidates import FileCandidate
from engine import test_foreign_workers, test_presence
from fake_clock import FakeClock
from faults import broken_ends, broken_steering, test_bit_flips, test_disk_errors, test_interleavings, \
    test_interleavings_of_ends, test_interleavings_of_steering, test_sync_order
from faults.broken import BROKEN
from faults.crashes import kill_and_judge, prepare
from faults.forks import Report, forked, needs_fork
from faults.scenarios import BY_NAME
from faults.test_sync_order import broken_order
from faults.verdict import queue_on

pytestmark = needs_fork
Trap = Callable[[Path], Iterator[str]]


def killing(scenario: str) -> Trap:
    """Every kill of the scenario, until one shows something."""
    def trap(folder: Path) -> Iterator[str]:
        prepared = prepare(BY_NAME[scenario], folder)
        assert prepared.points
        for number, how in prepared.kills():
            yield from kill_and_judge(prepared, folder, number, how).broken

    return trap


def refusing(scenario: str) -> Trap:
    """A disk that refuses a few calls in a row, from each call on."""
    def trap(folder: Path) -> Iterator[str]:
        prepared = prepare(BY_NAME[scenario], folder)
        for number, times in itertools.product(range(99), (1, 3, 6)):
            test_disk_errors.check_failure(prepared, folder, number, errno.EIO, times)
        yield from ()

    return trap


def ordering(scenario: str) -> Trap:
    """The order of fsyncs and renames."""
    return lambda folder: iter(broken_order(BY_NAME[scenario], folder))


def running(test: Callable[..., None], **arguments: Any) -> Trap:
    """One of the tests next door, with its fixtures made here; what it raises is what it has to say."""
    def trap(folder: Path) -> Iterator[str]:
        clock = FakeClock()
        patch = pytest.MonkeyPatch()
        queues = [queue_on(folder, clock), queue_on(folder, clock)]
        candidate = FileCandidate(folder, "strict")
        candidate.clock = clock
        known: dict[str, Any] = {
            "tmp_path": folder, "scratch": folder, "folder": folder / "task_queue", "clock": clock,
            "monkeypatch": patch, "queue": queues[0], "two": (*queues, clock), "candidate": candidate, **arguments,
        }
        wanted = inspect.signature(test).parameters
        if "queue" in wanted or "two" in wanted:
            for queue in queues:
                queue.start()
        test(**{name: known[name] for name in wanted})
        yield from ()

    return trap


TRAPS: dict[str, Trap] = {
    "visible_before_it_is_written": killing("submit"),
    "written_in_place": killing("fail to scheduled"),
    "result_after_the_move": killing("complete"),
    "lease_not_checked": killing("late finish"),
    "token_not_compared": killing("late finish"),
    "key_after_the_task": killing("submit with key"),
    "batch_without_manifest": killing("batch"),
    "batch_manifest_goes_first": killing("batch"),
    "undelivered_batch_is_forgotten": killing("batch"),
    "expiry_ignores_the_result": killing("complete"),
    "claim_by_copy_and_unlink": killing("claim"),
    "claim_without_rename": killing("claim"),
    "recovery_drops_claims_with_a_result": killing("complete"),
    "local_claims_of_the_dead_live_for_ever": killing("claim for this process"),
    "everything_expires_at_the_start": killing("heartbeat"),
    "half_a_file_is_quarantined_at_once": killing("foreign drop"),
    "half_a_file_is_believed": killing("foreign drop"),
    "sweep_removes_what_the_living_write": running(
        test_presence.test_what_the_dead_left_in_tmp_is_removed_and_what_the_living_write_is_not),
    "names_in_tmp_are_used_again": killing("first start"),
    "failed_fsync_is_acknowledged": running(
        test_sync_order.test_a_repeated_call_is_not_acknowledged_on_the_strength_of_a_failed_fsync, name="complete"),
    "name_not_fsynced": ordering("submit"),
    "content_not_fsynced": ordering("submit"),
    "replay_without_fsync": running(
        test_sync_order.test_a_repeated_call_in_another_process_is_not_acknowledged_before_it_is_durable,
        name="complete"),
    "retry_counts_twice": killing("fail to scheduled"),
    "no_lock_between_check_and_move": running(test_interleavings.test_an_expiry_cannot_come_between_a_finish),
    "publish_over_what_is_there": running(
        test_foreign_workers.test_a_foreign_result_for_a_task_of_ours_fences_our_worker_off),
    "prune_takes_the_result_first": killing("prune"),
    "find_looks_only_once": running(test_interleavings.test_a_task_that_moves_while_it_is_looked_for_is_found),
    "a_wanted_cancel_is_not_looked_at": killing("cancel what runs"),
    "a_cancel_is_acknowledged_before_it_is_on_the_disk": ordering("cancel what runs"),
    "a_cancel_is_forgotten_before_the_end": killing("cancel what runs"),
    "what_is_taken_to_be_ended_counts_as_a_run": killing("cancel what waits"),
    "what_is_put_back_is_due_at_once": killing("cancel what waits"),
    "what_cannot_be_ended_stays_held": refusing("cancel what waits"),
    "what_cannot_be_given_back_is_forgotten": refusing("cancel what waits"),
    "a_retry_takes_the_result_first": killing("retry"),
    "a_retry_is_acknowledged_before_it_is_on_the_disk": ordering("retry"),
    "a_retry_keeps_the_old_request_to_cancel": killing("retry"),
    "a_retry_leaves_the_finished_file": killing("retry"),
    "a_retry_believes_what_it_saw": running(test_interleavings_of_ends.test_a_retry_with_an_old_view_is_refused),
    "a_retry_that_could_not_remove_the_result_is_acknowledged": refusing("retry"),
    "a_sweep_believes_the_result_it_saw": running(
        test_interleavings_of_ends.test_a_result_is_not_moved_on_the_word_of_an_older_one),
    "a_finished_task_is_written_anew": running(
        test_interleavings_of_ends.test_a_late_checkpoint_does_not_bring_a_finished_task_back),
    "a_unique_key_is_remembered_after_the_task": killing("unique key"),
    "what_is_replaced_goes_first": killing("replace by unique key"),
    "what_is_replaced_waits_again": killing("replace by unique key"),
    "a_unique_key_has_no_lock": running(
        test_interleavings_of_ends.test_a_unique_key_makes_one_task_however_many_ask, rounds=200),
    "a_failure_drops_the_checkpoint": killing("progress"),
    "a_timeout_costs_nothing": killing("deadlines"),
    "the_time_of_what_is_scheduled_never_ends": killing("deadlines"),
    "a_delay_ends_at_the_next_sweep": killing("delay"),
    "a_delay_is_forgotten_at_the_restart": killing("delay"),
    "a_batch_is_named_before_it_is_there": killing("named batch"),
    "a_delivered_batch_has_no_name": killing("named batch"),
    "a_pause_is_acknowledged_before_it_is_on_the_disk": ordering("pause and resume"),
    "a_pause_forgets_the_types": killing("pause and resume"),
    "a_resume_that_was_refused_is_acknowledged": refusing("pause and resume"),
    "a_broken_seal_is_believed": running(test_bit_flips.test_a_flipped_bit_is_seen, flips=300),
    "a_damaged_epoch_starts_anew": running(
        test_presence.test_a_damaged_epoch_does_not_keep_the_queue_closed, content=b"x"),
    "the_index_is_the_truth": killing("submit"),
    "a_paused_task_is_claimed_by_its_number": running(test_pause.test_a_paused_type_is_passed_over),
    "a_revision_is_written_over_what_waits": running(
        test_interleavings_of_steering
        .test_a_task_that_is_claimed_while_it_is_revised_is_revised_in_its_workers_hand),
    "a_revision_that_dies_half_way_counts_as_a_run": killing("revise what waits"),
    "a_revision_believes_what_it_saw": running(
        test_interleavings_of_steering.test_a_revision_is_not_undone_by_the_holder, name="fail"),
    "a_revision_that_fails_half_way_stays_held": refusing("revise what waits"),
    "a_promotion_is_acknowledged_before_it_is_on_the_disk": ordering("promote by hand"),
    "a_cancel_at_once_only_asks": killing("cancel at once"),
    "a_cancel_at_once_takes_any_end_for_its_own": running(
        test_interleavings_of_steering.test_a_cancel_at_once_cannot_come_between_a_finish),
    "a_retried_task_jumps_the_line": running(test_steering.test_a_retried_task_is_the_last_of_its_priority),
}


def caught(name: str | None, trap: Trap, folder: Path) -> list[str]:
    """What the trap says of the engine, broken as ``name`` says, in a process that is thrown away."""
    def spring(report: Report) -> None:
        if name is not None:
            BROKEN[name]()
        try:
            sentence = next(trap(folder), "")
        except (AttributeError, TypeError, NameError):
            raise  # the broken version does not fit the engine any more: that is no catch
        except BaseException as error:  # an assertion, or the broken engine itself: both are noticed
            sentence = f"{type(error).__name__}: {error}"
        if sentence:
            report("caught", sentence[:300])

    folder.mkdir(parents=True, exist_ok=True)
    return [str(event[1]) for event in forked(spring).events]


def test_every_broken_protocol_has_its_trap() -> None:
    """None is left out, and there are enough of them to mean something."""
    assert broken_ends.__doc__
    assert broken_steering.__doc__
    assert TRAPS.keys() == BROKEN.keys()
    assert len(TRAPS) >= 40


COSTLY = ("names_in_tmp_are_used_again",)
EVERYDAY = [name for name in list(TRAPS)[::10] if name not in COSTLY]
GUARDED = [name for name, trap in TRAPS.items() if not trap.__qualname__.startswith("killing")]
"""The stories are told of the sound engine too, at every point: in ``test_crash_points``."""


@pytest.mark.parametrize("name", [
    name if name in EVERYDAY else pytest.param(name, marks=pytest.mark.slow) for name in TRAPS])
def test_a_broken_protocol_is_caught(name: str, scratch: Path) -> None:
    """The harness that finds nothing wrong with the engine finds this."""
    said = caught(name, TRAPS[name], scratch)
    print(f"{name}: {said}")
    assert said, f"nobody noticed: {BROKEN[name].__doc__}"


@pytest.mark.slow
@pytest.mark.parametrize("name", GUARDED)
def test_the_sound_protocol_is_not_caught(name: str, scratch: Path) -> None:
    """The same traps are silent on the engine as it is."""
    assert caught(None, TRAPS[name], scratch) == []
