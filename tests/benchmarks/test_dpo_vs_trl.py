"""What the DPO benchmark prints is worked out from its runs."""

import pytest

from benchmarks.dpo_vs_trl import largest_difference, parse, rows
from benchmarks.summary import compare, comparison_markdown
from benchmarks.worker_dpo import NAMES, OURS, TRL_BEST, TRL_CHAPTER


def run(seconds: float, *losses: float) -> dict[str, object]:
    return {
        "pairs": 64,
        "seconds": seconds,
        "reference_seconds": 0.5,
        "padding_share": 0.1,
        "optimizer_steps": 4,
        "losses": list(losses),
        "peak": 2**20,
    }


def test_ratio_is_of_pairs_per_second() -> None:
    runs = {OURS: [run(2.0), run(4.0)], TRL_BEST: [run(4.0), run(6.0)]}
    table = compare(runs, rows(), base=TRL_BEST)
    assert table["pairs per second"]["ratio"][OURS] == (1.75, 1.5, 2.0)
    text = comparison_markdown(table, base=TRL_BEST, names=NAMES)
    assert "| pairs per second | 24 | 13.3 | 1.75 [1.50, 2.00] |" in text


def test_losses_are_compared_step_by_step() -> None:
    runs = {
        OURS: [run(1.0, 0.7, 0.5)],
        TRL_BEST: [run(1.0, 0.7, 0.4)],
        TRL_CHAPTER: [run(1.0, 0.7, 0.5)],
    }
    assert largest_difference(runs) == {TRL_CHAPTER: 0.0, TRL_BEST: pytest.approx(0.1)}
    runs[TRL_BEST] = [run(1.0, 0.7)]
    with pytest.raises(SystemExit, match="another number of steps"):
        largest_difference(runs)


def test_pairs_must_fill_their_steps(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--pairs", "100"])
    assert "multiple of 16" in capsys.readouterr().err
