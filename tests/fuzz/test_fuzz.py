"""No reader of what strangers send crashes or reads it wrongly, for some hundred random inputs of each kind."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz import TARGETS
from tests.fuzz.target import Target


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_input_is_read_or_refused(target: Target) -> None:
    with target.opened() as check:
        settings(max_examples=target.few, deadline=None, database=None, suppress_health_check=list(HealthCheck))(
            given(target.inputs)(check)
        )()
