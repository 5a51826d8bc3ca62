"""Tests of the whole app that run on a cluster too: answers, follow-ups, edits, deletions, bills and erasures."""

from __future__ import annotations

from tests.app.conftest import app, app_with_models, both, everything, handbook, models, settings
from tests.app.test_answers import (
    test_a_model_writes_with_citations_that_hold,
    test_a_thread_reads_its_prefix_from_the_cache,
    test_the_ledger_is_the_providers_bill_to_the_token,
)
from tests.app.test_ledger_under_faults import test_the_ledger_equals_the_bill_in_a_storm
from tests.app.test_privacy import test_erasing_a_user_removes_a_canary_word_from_the_database
from tests.app.test_processes import (
    channel,
    test_a_question_deleted_in_one_process_is_stopped_and_removed_everywhere,
    test_a_question_edited_in_one_process_is_answered_again_while_another_runs_it,
)

__all__ = [
    "app",
    "app_with_models",
    "both",
    "channel",
    "everything",
    "handbook",
    "models",
    "settings",
    "test_a_model_writes_with_citations_that_hold",
    "test_a_question_deleted_in_one_process_is_stopped_and_removed_everywhere",
    "test_a_question_edited_in_one_process_is_answered_again_while_another_runs_it",
    "test_a_thread_reads_its_prefix_from_the_cache",
    "test_erasing_a_user_removes_a_canary_word_from_the_database",
    "test_the_ledger_equals_the_bill_in_a_storm",
    "test_the_ledger_is_the_providers_bill_to_the_token",
]
