"""The columns of each kind of rows, cut from ranked rows."""

from itertools import combinations
from typing import Any

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from rlhf_compare.data.config import Feed
from rlhf_compare.data.views import (
    demonstration_view,
    pair_indices,
    pairs_view,
    prompt_view,
    ranked_view,
    require_rows,
)
from rlhf_compare.errors import DataError

DATA = Dataset.from_list(
    [
        {
            "prompt": "p",
            "prompt_ids": [1, 2],
            "responses": ["a", "b", "c", "d"],
            "response_ids": [[10, 0], [11, 0], [12, 0], [13, 0]],
            "scores": [0.2, 0.9, 0.2, 0.5],
            "feeds": ["rankings", "prompts"],
        },
        {
            "prompt": "tied",
            "prompt_ids": [3],
            "responses": ["a", "b"],
            "response_ids": [[20, 0], [21, 0]],
            "scores": [0.5, 0.5],
            "feeds": ["demonstrations", "prompts"],
        },
        {
            "prompt": "p",
            "prompt_ids": [1, 2],
            "responses": ["e", "f"],
            "response_ids": [[30, 0], [31, 0]],
            "scores": [1.0, 0.0],
            "feeds": ["rankings"],
        },
    ]
)


@pytest.mark.parametrize(
    ("rule", "pairs"),
    [
        ("best_worst", [(11, 12), (30, 31)]),
        ("adjacent", [(11, 13), (13, 10), (30, 31)]),  # 10 and 12 are tied
        ("all", [(11, 13), (11, 10), (11, 12), (13, 10), (13, 12), (30, 31)]),
    ],
)
def test_dpo_takes_pairs_by_the_stated_rule(rule: str, pairs: list[tuple[int, int]]) -> None:
    view = pairs_view(DATA, rule)
    sides = zip(view["chosen_ids"], view["rejected_ids"], strict=True)
    assert [(chosen[0], rejected[0]) for chosen, rejected in sides] == pairs
    assert view.column_names == ["prompt_ids", "chosen_ids", "rejected_ids"]
    assert view["prompt_ids"][0] == [1, 2] and view["prompt_ids"][-1] == [1, 2]


def test_the_reward_model_gets_k_responses_together() -> None:
    view = ranked_view(DATA)
    assert view[0] == {key: DATA[0][key] for key in ("prompt_ids", "response_ids", "scores")}
    assert [len(scores) for scores in view["scores"]] == [4, 2]  # all-tied rows rank nothing


def test_every_prompt_once() -> None:
    assert prompt_view(DATA)["prompt"][:] == ["p", "tied"]
    assert prompt_view(DATA.select([1, 2]), "prompts")["prompt"][:] == ["tied"]


@pytest.mark.parametrize(
    ("view", "row", "message"),
    [
        (demonstration_view, 0, r"no row feeds demonstrations \(an answer"),
        (ranked_view, 1, r"no row feeds rankings \(ranked responses"),
        (pairs_view, 1, r"no row feeds rankings \(ranked responses"),
        (lambda data: prompt_view(data, "prompts"), 2, r"no row feeds prompts \(a question"),
    ],
)
def test_a_view_says_what_it_lacks(view: Any, row: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        view(DATA.select([row]))


def test_who_needs_the_rows_that_are_not_there_is_said() -> None:
    needs: dict[str, Feed] = {"sft": "demonstrations", "reward": "rankings", "ppo": "prompts"}
    require_rows({"demonstrations": 2, "rankings": 1, "prompts": 3}, needs)
    require_rows({"demonstrations": 2, "prompts": 3}, {"ppo": "prompts"})
    with pytest.raises(DataError, match="no row feeds rankings, which reward needs"):
        require_rows({"demonstrations": 2, "rankings": 0, "prompts": 3}, needs)
    with pytest.raises(DataError, match="no row feeds prompts, which ppo needs"):
        require_rows({"demonstrations": 2, "rankings": 1}, needs)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), max_size=8))
def test_pairs_are_ordered_and_complete(scores: list[float]) -> None:
    every = pair_indices(scores, "all")
    differing = sum(a != b for a, b in combinations(scores, 2))
    assert len(every) == len(set(every)) == differing
    for rule in ("best_worst", "adjacent"):
        assert set(pair_indices(scores, rule)) <= set(every)
    assert all(scores[a] > scores[b] for a, b in every)
    best_worst = pair_indices(scores, "best_worst")
    assert len(best_worst) == (len(set(scores)) > 1)
    assert all(scores[a] == max(scores) and scores[b] == min(scores) for a, b in best_worst)
    assert len(pair_indices(scores, "adjacent")) == max(len(set(scores)) - 1, 0)
