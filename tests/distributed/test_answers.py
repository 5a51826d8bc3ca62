"""Tests of the whole app that run on a cluster too: answers, edits, branches, bills, erasures and maintenance."""

from __future__ import annotations

from tests.app.conftest import app, app_with_models, both, everything, handbook, models, settings
from tests.app.test_answers import (
    test_a_model_writes_with_citations_that_hold,
    test_a_thread_reads_its_prefix_from_the_cache,
    test_the_ledger_is_the_providers_bill_to_the_token,
)
from tests.app.test_ledger_under_faults import test_the_ledger_equals_the_bill_in_a_storm
from tests.app.test_maintenance_rounds import (
    test_idle_tenants_are_maintained_once_a_week,
    test_the_tenants_that_are_due_are_spread_over_rounds,
)
from tests.app.test_privacy import test_erasing_a_user_removes_a_canary_word_from_the_database
from tests.app.test_processes import (
    channel,
    test_a_question_deleted_in_one_process_is_stopped_and_removed_everywhere,
    test_a_question_edited_in_one_process_is_answered_again_while_another_runs_it,
)
from tests.store.test_local_processes import (
    other,
    test_a_killed_process_is_dead_at_once_although_its_heartbeat_is_fresh_and_the_server_has_just_started,
)
from tests.web.test_branches import test_a_branch_has_what_came_before_and_the_original_keeps_what_follows

__all__ = [
    "app",
    "app_with_models",
    "both",
    "channel",
    "everything",
    "handbook",
    "models",
    "other",
    "settings",
    "test_a_branch_has_what_came_before_and_the_original_keeps_what_follows",
    "test_a_killed_process_is_dead_at_once_although_its_heartbeat_is_fresh_and_the_server_has_just_started",
    "test_a_model_writes_with_citations_that_hold",
    "test_a_question_deleted_in_one_process_is_stopped_and_removed_everywhere",
    "test_a_question_edited_in_one_process_is_answered_again_while_another_runs_it",
    "test_a_thread_reads_its_prefix_from_the_cache",
    "test_erasing_a_user_removes_a_canary_word_from_the_database",
    "test_idle_tenants_are_maintained_once_a_week",
    "test_the_ledger_equals_the_bill_in_a_storm",
    "test_the_ledger_is_the_providers_bill_to_the_token",
    "test_the_tenants_that_are_due_are_spread_over_rounds",
]
