"""Tests the fusion of dense and sparse search, with generated rankings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.search.fusion import (
    Spread,
    add_document_scores,
    combine_with_reranker,
    convex,
    dense_weight,
    late_interaction_trust,
    rrf,
    sort_scores,
    standardize,
)

SCORES = st.dictionaries(st.integers(0, 30), st.floats(0.01, 50), max_size=20)


def test_rrf_sums_reciprocal_ranks() -> None:
    fused = rrf([(1, 9.0), (2, 8.0)], [(2, 0.5)])
    assert fused == {1: pytest.approx(1 / 61), 2: pytest.approx(1 / 62 + 1 / 61)}


def test_ties_are_ordered_by_number() -> None:
    assert [number for number, _ in sort_scores({3: 1.0, 1: 1.0, 2: 2.0})] == [2, 1, 3]


@given(SCORES)
def test_single_list_keeps_its_order(scores: dict[int, float]) -> None:
    for fused in (convex(scores, []), convex({}, sort_scores(scores))):
        order = [scores[number] for number, _ in sort_scores(fused)]
        assert order == pytest.approx(sorted(order, reverse=True))


@given(SCORES, SCORES)
def test_every_candidate_is_ranked_once(dense: dict[int, float], sparse: dict[int, float]) -> None:
    assert sorted(convex(dense, sort_scores(sparse))) == sorted(dense.keys() | sparse.keys())


def test_best_candidate_of_both_lists_is_first() -> None:
    assert sort_scores(convex({1: 0.9, 2: 0.5, 3: 0.1}, [(1, 10.0), (3, 5.0), (2, 1.0)]))[0][0] == 1


def test_candidates_missing_from_a_short_bm25_list_score_zero() -> None:
    dense = {1: 0.5, 2: 0.5}
    assert convex(dense, [(1, 9.0)], limit=2)[2] == convex(dense, [], limit=2)[2]
    assert convex(dense, [(1, 9.0)], limit=1)[2] == convex(dense, [(1, 9.0)], limit=1)[1]


CORPUS, QUESTIONS, LIMIT = 600, 60, 100
COMMON, MIXED = (0.45, 0.4, 0.35, 0.3, 0.3), (0.3, 0.2, 0.1, 0.03, 0.01)


@dataclass(frozen=True)
class Legs:
    """The mean reciprocal rank of the one relevant chunk, in each list and in the fused ones."""

    dense: float
    sparse: float
    convex: float
    rrf: float


def measure(*, lift: float, shares: Sequence[float], known: bool) -> Legs:
    """Measure generated questions.

    The cosine of the relevant chunk is ``lift`` above its random value, and it has all the words of the question if
    ``known``. Any chunk has each word with the probability of its share.
    """
    random_ = np.random.default_rng(1)
    found = []
    for _ in range(QUESTIONS):
        cosines = random_.normal(0.1, 0.1, CORPUS)
        relevant = int(random_.integers(CORPUS))
        cosines[relevant] += lift
        has = random_.random((CORPUS, len(shares))) < np.array(shares)
        if known:
            has[relevant] = True
        idf = np.log((1 - np.array(shares)) / np.array(shares))
        words = (has * idf * random_.uniform(0.7, 1.6, has.shape)).sum(axis=1)
        spread = Spread(float(cosines.mean()), float(cosines.std()))
        dense = sort_scores({n: float(cosines[n]) for n in range(CORPUS)})[:LIMIT]
        sparse = sort_scores({n: float(words[n]) for n in range(CORPUS) if words[n] > 0})[:LIMIT]
        both_legs = {n: float(cosines[n]) for n in dict(dense) | dict(sparse)}
        orders = (
            dense,
            sparse,
            sort_scores(convex(both_legs, sparse, spread=spread, limit=LIMIT)),
            sort_scores(rrf(dense, sparse)),
        )
        found.append([next((1 / r for r, (n, _) in enumerate(order, 1) if n == relevant), 0.0) for order in orders])
    return Legs(*(float(mean) for mean in np.mean(found, axis=0)))


@pytest.mark.parametrize("lift", [0.3, 0.4, 0.6])
def test_common_words_do_not_harm_the_dense_ranking(lift: float) -> None:
    legs = measure(lift=lift, shares=COMMON, known=False)
    assert legs.dense > 5 * legs.sparse
    assert legs.convex > legs.dense - 0.02


@pytest.mark.parametrize("lift", [0.0, 0.1])
def test_uninformative_cosines_do_not_harm_rare_words(lift: float) -> None:
    legs = measure(lift=lift, shares=MIXED, known=True)
    assert legs.sparse > 5 * legs.dense
    assert legs.convex > legs.sparse - 0.05
    assert legs.convex > legs.rrf + 0.2


def test_misleading_rare_words_cost_less_than_with_rrf() -> None:
    legs = measure(lift=0.5, shares=MIXED, known=False)
    assert legs.convex > legs.dense - 0.08
    assert legs.convex > legs.rrf + 0.2


def test_fusion_is_better_than_either_weak_list() -> None:
    legs = measure(lift=0.25, shares=MIXED[:3], known=True)
    assert legs.convex > max(legs.dense, legs.sparse)


@pytest.mark.parametrize(("deviations", "first"), [(2.0, "by words"), (4.0, "by meaning")])
def test_cosines_that_hardly_differ_decide_less_than_words(deviations: float, first: str) -> None:
    meant, has_words = 1, 2
    dense = {meant: 0.5 + deviations * 0.1, has_words: 0.5}
    fused = convex(dense, [(has_words, 3.0), (meant, 1.5)], spread=Spread(0.5, 0.1, 256))
    assert sort_scores(fused)[0][0] == (meant if first == "by meaning" else has_words)


def test_cosines_of_a_few_chunks_count_in_full() -> None:
    cosines = dict(enumerate((0.1, 0.12, 0.15, 0.5)))
    few = Spread(float(np.mean(list(cosines.values()))), float(np.std(list(cosines.values()))), len(cosines))
    assert dense_weight(cosines, few) == 1.0
    assert dense_weight(cosines, replace(few, sampled=256)) < 0.2


def test_dense_scores_without_any_bm25_keep_their_order_however_little_they_differ() -> None:
    fused = convex({1: 0.500, 2: 0.501, 3: 0.502}, [], spread=Spread(0.5, 0.1, 256))
    assert [number for number, _ in sort_scores(fused)] == [3, 2, 1]


def test_document_with_a_single_candidate_is_not_preferred() -> None:
    scores = {1: 1.0, 2: 0.5, 3: 0.95, 4: 0.1, 5: 0.1, 6: 0.1}
    documents = {1: "a", 2: "a", 3: "single", 4: "b", 5: "b", 6: "b"}
    assert sort_scores(add_document_scores(scores, documents))[0][0] == 1


def test_document_with_several_good_chunks_is_preferred() -> None:
    documents = {1: "a", 2: "a", 3: "b", 4: "b"}
    scored = add_document_scores({1: 1.0, 2: 0.9, 3: 1.0, 4: 0.1}, documents)
    assert scored[1] > scored[2] > scored[3] > scored[4]


def test_reranker_weighs_less_than_the_fused_score() -> None:
    assert combine_with_reranker([2.0, 1.0], [0.0, 5.0])[0] > combine_with_reranker([2.0, 1.0], [0.0, 5.0])[1]
    assert combine_with_reranker([2.0, 1.9, 0.0], [0.0, 5.0, 0.0])[1] == max(
        combine_with_reranker([2.0, 1.9, 0.0], [0.0, 5.0, 0.0])
    )


def test_late_interaction_that_has_nothing_in_common_with_the_fused_ranking_hardly_counts() -> None:
    random_ = np.random.default_rng(1)
    fused = sorted(random_.normal(size=50).tolist(), reverse=True)
    unrelated = random_.normal(size=50).tolist()
    related = [score + noise for score, noise in zip(fused, unrelated, strict=True)]
    assert late_interaction_trust(fused, unrelated) < 0.4
    assert late_interaction_trust(fused, [-score for score in fused]) == 0.0
    assert late_interaction_trust(fused, related) == 1.0
    assert combine_with_reranker(fused, unrelated, trust=0.0) == sorted(
        combine_with_reranker(fused, unrelated, trust=0.0), reverse=True
    )


def test_few_passages_do_not_tell_whether_to_trust_late_interaction() -> None:
    assert late_interaction_trust([2.0, 1.0], [0.0, 5.0]) > 0.4
    assert late_interaction_trust([2.0], [0.3]) > 0.9


def test_missing_score_counts_as_the_lowest() -> None:
    assert standardize({1: 1.0, 2: 3.0}, {1, 2, 3}) == {1: -1.0, 2: 1.0, 3: -1.0}
