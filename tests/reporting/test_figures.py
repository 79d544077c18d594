"""Figures: drawn from the numbers, or not at all."""

import math
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from rlhf_compare.reporting.drawing import floor_curve
from rlhf_compare.reporting.figures import (
    DRAWINGS,
    adoption_against_kl,
    adoption_against_seconds,
    draw_figures,
    seconds_by_stage,
)
from rlhf_compare.reporting.method_schema import Point, TrainingRun
from rlhf_compare.reporting.schema import Results
from rlhf_compare.reporting.training_figures import likelihoods, training_paths

from .conftest import changed, estimate, method, stage, unmeasured


def test_floor_curve_against_hand_values() -> None:
    rates, least = floor_curve(0.01, points=100)
    assert rates[0] == 0.01 and rates[-1] == 1.0
    assert least[0] == 0.0
    assert least[-1] == pytest.approx(4.605, abs=5e-4)  # log(1 / 0.01)
    assert sorted(least) == least
    _, least = floor_curve(0.25, points=4)  # rates 1/4, 1/2, 3/4, 1
    assert least[1] == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))
    assert least[2] == pytest.approx(0.5 * math.log(3))


@pytest.mark.parametrize("p0", [0.0, 1.0, -0.1])
def test_no_floor_without_a_base_rate_inside_the_unit_interval(p0: float) -> None:
    with pytest.raises(ValueError, match="base rate"):
        floor_curve(p0)


def test_figures_are_made_and_the_same_twice(results: Results, tmp_path: Path) -> None:
    results = trained(results, run((0.4, 1.0, 1.0, -1.0), (0.9, 3.0, 2.0, -4.0)))
    contents = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        drawn = draw_figures(results, tmp_path / name)
        assert [d.name for d in drawn] == [d.name for d in DRAWINGS if d.name != "calibration"]
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]
    assert sorted(contents[0]) == sorted(
        f"{drawing.name}.{kind}" for drawing in drawn for kind in ("png", "svg")
    )
    assert all(c.startswith(b"\x89PNG") for n, c in contents[0].items() if n.endswith("png"))


def test_what_is_drawn_is_what_was_measured(results: Results) -> None:
    figure = adoption_against_kl(results)
    assert figure is not None
    axes = figure.axes[0]
    curve = next(line for line in axes.lines if line.get_label() == "KL floor at p0")
    assert curve.get_xdata()[-1] == pytest.approx(math.log(1 / 0.05))
    lines = [line for line in axes.lines if line.get_marker() == "|"]
    ticks = [(line.get_xdata()[0], line.get_ydata()[0]) for line in lines]
    assert (2.3, 0.81) in ticks and (2.94, 0.93) in ticks
    assert axes.get_xlabel() == "KL to the reference, exact (nats per response)"
    title = " ".join(axes.get_title(loc="left").split())
    assert title == (
        "The least KL possible is 50 % of PPO's, 60 % of DPO's (one seed, 256 prompts)"
    )


def test_stages_follow_each_other_and_reach_the_total(results: Results) -> None:
    figure = seconds_by_stage(results)
    assert figure is not None
    axes = figure.axes[0]
    ends = {round(bar.get_x() + bar.get_width(), 6) for bar in axes.patches}
    assert max(ends) == 90.0 and {20.0, 25.0, 30.0} <= ends
    assert "3.0 times" in axes.get_title(loc="left")
    assert axes.get_xlabel() == "device time (seconds)"


def test_no_line_is_drawn_that_nobody_measured(results: Results) -> None:
    """A straight line from SFT to a method's end would look like its course."""
    figure = adoption_against_seconds(results)
    assert figure is not None
    assert all(len(line.get_xdata()) <= 1 for line in figure.axes[0].lines)


def test_captions_explain_what_is_there_and_no_more(results: Results) -> None:
    captions = {d.name: d.caption_of(results) for d in DRAWINGS}
    assert "Bars are 95 %" in captions["adoption_against_seconds"]
    assert "vertical tick" in captions["adoption_against_kl"]
    results = unmeasured(results, "kl_to_reference.floor")
    bare = {f"methods.{name}.adoption.exact": estimate(0.5) for name in results.methods}
    results = changed(results, bare)
    captions = {d.name: d.caption_of(results) for d in DRAWINGS}
    assert "Bars" not in captions["adoption_against_seconds"]
    assert "tick" not in captions["adoption_against_kl"]


def test_a_figure_whose_numbers_are_null_is_left_out(results: Results) -> None:
    results = unmeasured(results, "adoption.exact", of=("sft",))
    assert adoption_against_kl(results) is None  # no p0, no curve
    assert adoption_against_seconds(results) is not None
    results = unmeasured(results, "adoption.exact")
    assert adoption_against_seconds(results) is None
    results = unmeasured(results, "cost.device_seconds")
    assert seconds_by_stage(results) is None


@pytest.mark.parametrize("p0", [0.0, 1.0])
def test_a_base_rate_at_the_edge_has_no_curve(results: Results, p0: float) -> None:
    results = changed(results, {"methods.sft.adoption.exact": estimate(p0)})
    assert adoption_against_kl(results) is None


def test_odd_results_still_draw(results: Results, tmp_path: Path) -> None:
    """More methods than fixed colours, an interval beside its mean, no seconds at all."""
    extra = {f"methods.extra_{i}": method(0.5, 2.0, 1.5, sft=stage()) for i in range(6)}
    beside = {"methods.ppo.adoption.exact.low": 0.82, "methods.ppo.adoption.exact.high": 0.83}
    none = {"methods.dpo.cost.device_seconds": {"path_total": 0.0, "stages": {}}}
    results = changed(results, {**extra, **beside, **none})
    assert len(draw_figures(results, tmp_path)) == 3


def test_a_legend_of_many_methods_stays_inside_its_figure(results: Results) -> None:
    names, dpo = ("dpo_chapter", "dpo_with_a_long_name", "ppo_strict"), results.methods["dpo"]
    results = changed(results, {f"methods.{name}": dpo for name in names})
    for drawing in DRAWINGS:
        figure = drawing.draw(results)
        if figure is None or not figure.legends:
            continue
        FigureCanvasAgg(figure).draw()
        box = figure.legends[0].get_window_extent()
        assert box.x0 >= 0.0 and box.x1 <= figure.bbox.width


def run(*points: tuple[float, float, float, float], seed: int = 0, **other: None) -> TrainingRun:
    """A made-up run: (adoption, KL, chosen, rejected) a probe; `other`: what no probe saw."""
    names = ("adoption_exact", "kl_exact", "logratio_chosen", "logratio_rejected")
    seen = [
        {"step": 5 * i, "held_out_loss": 1.0 / i, "adoption_greedy": 1.0}
        | dict(zip(names, p, strict=True))
        | other
        for i, p in enumerate(points, start=1)
    ]
    return TrainingRun(seed=seed, points=[Point.model_validate(one) for one in seen])


def trained(results: Results, *runs: TrainingRun) -> Results:
    """DPO with these training runs."""
    return changed(results, {"methods.dpo.training": list(runs)})


def test_way_through_training_starts_at_the_sft_model(results: Results) -> None:
    assert training_paths(results) is None
    results = trained(results, run((0.4, 1.0, 1.0, -1.0), (0.9, 3.0, 2.0, -4.0)))
    figure = training_paths(results)
    assert figure is not None
    p0 = results.methods["sft"].value("adoption.exact")
    lines = [list(map(list, line.get_xydata())) for line in figure.axes[0].lines]
    assert [[0.0, p0], [1.0, 0.4], [3.0, 0.9]] in lines
    assert "DPO 0.900 at 3.000" in figure.axes[0].get_title(loc="left")
    other = run((0.7, 5.0, 2.0, -4.0), seed=1)
    results = trained(results, results.methods["dpo"].training[0], other)
    figure = training_paths(results)
    assert figure is not None
    title = " ".join(figure.axes[0].get_title(loc="left").split())
    assert title == "Adoption and nats at the last probe (means over 2 seeds): DPO 0.800 at 4.000"


def test_a_mean_over_seeds_shows_its_seeds(results: Results) -> None:
    several = {
        "methods.dpo.adoption.exact": estimate(0.9, 0.02, seeds=2).model_copy(
            update={"by_seed": [0.85, 0.95]}
        ),
        "methods.dpo.kl_to_reference.exact": estimate(4.9, 0.5, seeds=2).model_copy(
            update={"by_seed": [4.0, 5.8]}
        ),
        "methods.dpo.cost.device_seconds.stages.sft.by_seed": [20.0],
        "methods.dpo.cost.device_seconds.stages.dpo.by_seed": [8.0, 12.0],
    }
    results = changed(results, several)
    places = {
        adoption_against_kl: ([4.0, 5.8], [0.85, 0.95]),
        adoption_against_seconds: ([28.0, 32.0], [0.85, 0.95]),
        seconds_by_stage: ([28.0, 32.0], None),
    }
    for draw, (x, y) in places.items():
        figure = draw(results)
        assert figure is not None
        found = [line for line in figure.axes[0].lines if list(line.get_xdata()) == x]
        assert len(found) == 1 and (y is None or list(found[0].get_ydata()) == y)
    title = adoption_against_seconds(results).figure.axes[0].get_title(loc="left")  # type: ignore[union-attr]
    assert "(means over 1 to 2 seeds, 64 prompts)" in " ".join(title.split())
    caption = next(d for d in DRAWINGS if d.name == "seconds_by_stage").caption_of(results)
    assert "a black dot the end of one seed's" in caption


def test_the_way_through_training_is_a_mean_with_its_range(results: Results) -> None:
    runs = [run((0.4, 1.0, 1.0, -1.0), seed=0), run((0.8, 3.0, 1.0, -1.0), seed=1)]
    figure = training_paths(trained(results, *runs))
    assert figure is not None
    lines = [list(map(list, line.get_xydata())) for line in figure.axes[0].lines]
    assert [[0.0, 0.05], [2.0, pytest.approx(0.6)]] in lines  # the mean from p0
    assert [[0.0, 0.05], [1.0, 0.4]] in lines and [[0.0, 0.05], [3.0, 0.8]] in lines
    bars = [
        seg.tolist()
        for c in figure.axes[0].collections
        if hasattr(c, "get_segments")
        for seg in c.get_segments()
    ]
    assert [[1.0, pytest.approx(0.6)], [3.0, pytest.approx(0.6)]] in bars
    assert [[2.0, pytest.approx(0.4)], [2.0, pytest.approx(0.8)]] in bars


def test_likelihoods_show_both_sides_apart(results: Results) -> None:
    points = ((0.4, 1.0, -1.0, -2.0), (0.9, 3.0, -2.0, -9.0))
    results = trained(results, run(*points))
    figure = likelihoods(results)
    assert figure is not None
    drawn = {line.get_label(): list(line.get_ydata()) for line in figure.axes[0].lines}
    assert drawn["DPO, chosen"] == [-1.0, -2.0] and drawn["DPO, rejected"] == [-2.0, -9.0]
    assert "DPO -2.00 and -9.00" in figure.axes[0].get_title(loc="left")
    right, caption = figure.axes[1], next(d for d in DRAWINGS if d.name == "likelihoods")
    assert [line.get_label() for line in right.lines][-3:] == [
        "loss", "adoption, exact", "adoption, greedy",
    ]  # fmt: skip
    assert "adoption as greedy" in caption.caption_of(results)
    results = trained(results, run(*points, adoption_exact=None, adoption_greedy=None))
    figure = likelihoods(results)
    assert figure is not None
    assert "adoption" not in " ".join(str(line.get_label()) for line in figure.axes[1].lines)
    assert "adoption" not in figure.axes[1].get_ylabel()
    assert "adoption" not in caption.caption_of(results) + caption.heading
    results = trained(results, run(*points, logratio_chosen=None))
    assert likelihoods(results) is None
