"""Who is higher, after adjustment; and when nobody may be named."""

from typing import Any

import pytest

from rlhf_compare.evaluation import verdicts
from rlhf_compare.evaluation.verdicts import decide, holm
from rlhf_compare.reporting import schema


def test_holm_by_hand() -> None:
    """Sorted 0.01, 0.02, 0.03, 0.5 times 4, 3, 2, 1 = 0.04, 0.06, 0.06, 0.5; never falling."""
    assert holm([0.03, 0.5, 0.01, 0.02]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def row(metric: str, p: float, low: float, high: float, **rest: Any) -> dict[str, Any]:
    seeds = rest.get("seeds", 5)
    mean = (low + high) / 2
    return {
        "metric": metric,
        "a": "ppo",
        "b": "dpo",
        "headline": rest.get("headline", False),
        "difference": {"mean": mean, "low": low, "high": high, "seeds": seeds, "p_value": p},
    }


@pytest.mark.parametrize(
    ("low", "high", "p", "verdict", "excluded"),
    [
        (0.1, 0.3, 0.01, "ppo higher", None),
        (-0.3, -0.1, 0.01, "dpo higher", None),
        (-0.1, 0.2, 0.5, "no difference shown", 0.2),
        (-0.4, 0.2, 0.5, "no difference shown", 0.4),
    ],
)
def test_an_exploratory_row(
    low: float, high: float, p: float, verdict: str, excluded: float | None
) -> None:
    (found,) = decide([row("entropy", p, low, high)])
    assert (found["verdict"], found["excluded"]) == (verdict, excluded)
    assert found["p_value"] == p and found["p_adjusted"] is None
    assert "p_value" not in found["difference"]


def test_a_headline_needs_the_adjusted_p_value() -> None:
    """0.03 alone would win; beside 0.5 and 0.01 it is 2 * 0.03. The exploratory row counts not."""
    found = decide(
        [
            row("a", 0.03, 0.1, 0.3, headline=True),
            row("b", 0.5, -0.1, 0.3, headline=True),
            row("c", 0.01, 0.2, 0.3, headline=True),
            row("d", 0.03, 0.1, 0.3),
        ]
    )
    assert [one["verdict"] for one in found] == [
        "no difference shown", "no difference shown", "ppo higher", "ppo higher",
    ]  # fmt: skip
    assert [one["p_adjusted"] for one in found] == pytest.approx([0.06, 0.5, 0.03, None])


@pytest.mark.parametrize(("seeds", "word"), [(1, "one seed"), (2, "two seeds")])
def test_few_seeds_name_no_winner(seeds: int, word: str) -> None:
    (found,) = decide([row("a", 1e-9, 5.0, 6.0, headline=True, seeds=seeds)])
    assert found["verdict"] == f"{word}: not decided"
    assert found["p_value"] is found["p_adjusted"] is found["excluded"] is None


def test_the_page_knows_the_verdicts() -> None:
    assert verdicts.NO_DIFFERENCE == schema.NO_DIFFERENCE
    assert verdicts.NOT_DECIDED == schema.NOT_DECIDED
