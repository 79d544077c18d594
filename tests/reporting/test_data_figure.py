"""The lengths of the data, drawn: every row once, beside its limit."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from rlhf_compare.reporting import data_figure
from rlhf_compare.reporting.data_figure import Lengths, draw_lengths
from rlhf_compare.reporting.drawing import canvas


def lengths(counts: list[int], limit: int, over: int = 0) -> Lengths:
    quantiles = {"p50": 2, "max": len(counts) - 1}
    return {"counts": counts, "limit": limit, "over_limit": over, "quantiles": quantiles}


@pytest.mark.parametrize(
    ("counts", "width"),
    [([0, 3, 1], 1), ([1] * 100, 3), ([], 1)],  # 100 lengths in at most 40 bars
)
def test_the_bars_hold_every_row_once(counts: list[int], width: int) -> None:
    _, axes = canvas()
    data_figure._histogram(axes, lengths(counts, limit=4), "prompt")
    assert sum(bar.get_height() for bar in axes.patches) == sum(counts)
    assert {bar.get_width() for bar in axes.patches} == {width}
    assert axes.get_ylabel() == ("rows" if width == 1 else f"rows per {width} tokens")


def test_a_limit_far_off_is_named_and_not_drawn() -> None:
    for limit, drawn in ((3, True), (300, False)):
        _, axes = canvas()
        data_figure._histogram(axes, lengths([0, 3, 1], limit, over=1), "prompt")
        assert any(list(line.get_xdata()) == [limit, limit] for line in axes.lines) is drawn
        labels = axes.get_legend_handles_labels()[1]
        off = "" if drawn else " (off the axis)"
        assert labels[:2] == [f"limit {limit}: 1 over it{off}", "median 2, longest 2"]


def test_two_files_the_same_twice_and_their_text_is_text(tmp_path: Path) -> None:
    data = {"prompt": lengths([0, 3, 1], 3), "sequence": lengths([0, 0, 2, 2], 4)}
    first = [path.read_bytes() for path in draw_lengths(data, tmp_path)]
    assert [path.name for path in draw_lengths(data, tmp_path)] == ["lengths.png", "lengths.svg"]
    assert [(tmp_path / f"lengths.{kind}").read_bytes() for kind in ("png", "svg")] == first
    root = ElementTree.fromstring(first[1])
    text = " ".join(root.itertext())
    assert "prompt + longest response, EOS included" in text
    assert "Lengths of the data in tokens" in text and "rows over tokens" in text
