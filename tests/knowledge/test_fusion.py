"""Fusing two ranked lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.fusion import both, convex, ranked, rrf, standardised, with_document

SCORES = st.dictionaries(st.integers(0, 30), st.floats(0.01, 50), max_size=20)


def test_rrf_sums_reciprocal_ranks() -> None:
    fused = rrf([(1, 9.0), (2, 8.0)], [(2, 0.5)])
    assert fused == {1: pytest.approx(1 / 61), 2: pytest.approx(1 / 62 + 1 / 61)}


def test_ties_go_by_number() -> None:
    assert [number for number, _ in ranked({3: 1.0, 1: 1.0, 2: 2.0})] == [2, 1, 3]


@given(SCORES)
def test_a_single_leg_keeps_its_order(scores: dict[int, float]) -> None:
    assert ranked(convex(scores, [])) == ranked(scores)
    assert ranked(convex({}, ranked(scores))) == ranked(scores)


@given(SCORES, SCORES)
def test_every_candidate_is_ranked_once(dense: dict[int, float], sparse: dict[int, float]) -> None:
    assert sorted(convex(dense, ranked(sparse))) == sorted(dense.keys() | sparse.keys())


def test_what_both_legs_find_best_is_best() -> None:
    assert ranked(convex({1: 0.9, 2: 0.5, 3: 0.1}, [(1, 10.0), (3, 5.0), (2, 1.0)]))[0][0] == 1


def test_what_bm25_was_asked_for_and_did_not_bring_scores_nothing() -> None:
    dense = {1: 0.5, 2: 0.5}
    assert convex(dense, [(1, 9.0)], limit=2)[2] == convex(dense, [], limit=2)[2]
    assert convex(dense, [(1, 9.0)], limit=1)[2] == convex(dense, [(1, 9.0)], limit=1)[1]


def test_a_document_of_good_chunks_is_preferred() -> None:
    documents = {1: "a", 2: "a", 3: "b", 4: "b"}
    scored = with_document({1: 1.0, 2: 0.9, 3: 1.0, 4: 0.1}, documents)
    assert scored[1] > scored[3] > scored[2] > scored[4]


def test_the_reranker_weighs_less_than_the_fusion() -> None:
    assert both([2.0, 1.0], [0.0, 5.0])[0] > both([2.0, 1.0], [0.0, 5.0])[1]
    assert both([2.0, 1.9, 0.0], [0.0, 5.0, 0.0])[1] == max(both([2.0, 1.9, 0.0], [0.0, 5.0, 0.0]))


def test_without_a_score_is_the_least() -> None:
    assert standardised({1: 1.0, 2: 3.0}, {1, 2, 3}) == {1: -1.0, 2: 1.0, 3: -1.0}
