"""The contract refuses what breaks it and names the place."""

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.metrics import METRICS
from rlhf_compare.reporting.method_schema import Point
from rlhf_compare.reporting.results import (
    ResultsError,
    as_data,
    load_results,
    parse_results,
    write_results,
)
from rlhf_compare.reporting.schema import Results, as_json

from .conftest import changed, estimate, plain, put


def test_what_is_read_is_what_is_given(data: dict[str, Any]) -> None:
    """In the same order too: a report that is drawn again does not change its results.json."""
    turned = {key: data[key] for key in reversed(data)}
    turned["methods"]["ppo"] = dict(reversed(data["methods"]["ppo"].items()))
    assert json.dumps(as_data(parse_results(turned))) == json.dumps(turned)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("methods.ppo.adoption.exact.mean", float("nan"), "$.methods.ppo.adoption.exact.mean"),
        ("recipe.dpo.beta", float("inf"), "$.recipe.dpo.beta: inf is not a finite number"),
        (
            "methods.dpo.adoption.exact.mean",
            1.2,
            "exact.mean: Input should be less than or equal to 1.000001, got 1.2",
        ),
        ("methods.dpo.adoption.extra", None, "$.methods.dpo.adoption.extra: Extra inputs"),
        ("extra", 1, "$.extra: Extra inputs"),
        ("schema_version", 2, "$.schema_version"),
        ("methods.dpo.length", 3.0, "$.methods.dpo.length: Input should be a valid dictionary"),
        (
            "methods.dpo.cost.device_seconds.path_total",
            -1,
            "path_total: Input should be greater than or equal to 0, got -1",
        ),
        ("provenance.created", "yesterday", "$.provenance.created: 'yesterday' is not an ISO"),
        ("provenance.seeds", [], "$.provenance.seeds"),
        ("provenance.seeds", [1, 1], "$.provenance.seeds: a seed stands twice"),
        ("comparisons.0.a", "grpo", "$.comparisons[0].a: no method 'grpo'; there are sft, ppo"),
        ("comparisons.0.metric", "adoption.odd", "$.comparisons[0].metric: 'adoption.odd' is no"),
        ("comparisons.0.verdict", "ppo wins", "$.comparisons[0].verdict: 'ppo wins' is not"),
        ("comparisons.0.verdict", "ppo higher", "the interval of a - b is [-0.15"),
        ("comparisons.1.verdict", "dpo higher", "the interval of a - b is [-1.0"),
        ("samples.0.grpo", "hello", "$.samples[0].grpo: an answer by no known method"),
        ("methods.Bad Name", None, "'Bad Name'"),
    ],
)
def test_a_fault_is_named_with_its_path(
    data: dict[str, Any], path: str, value: Any, said: str
) -> None:
    put(data, path, value)
    with pytest.raises(ResultsError) as caught:
        parse_results(data)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["low", "n", "seeds"])
def test_a_missing_key_is_named(data: dict[str, Any], key: str) -> None:
    del data["methods"]["ppo"]["entropy"][key]
    with pytest.raises(ResultsError, match=rf"\$\.methods\.ppo\.entropy\.{key}: Field required"):
        parse_results(data)


def test_intervals_must_be_in_order_and_whole(data: dict[str, Any]) -> None:
    data["methods"]["ppo"]["entropy"].update(low=2.0, high=1.0)
    with pytest.raises(ResultsError, match=r"methods\.ppo\.entropy: low \(2\.0\) is above high"):
        parse_results(data)
    data["methods"]["ppo"]["entropy"].update(low=None, high=1.0)
    with pytest.raises(ResultsError, match="both be numbers or both be null"):
        parse_results(data)


def test_every_estimate_may_be_null(data: dict[str, Any]) -> None:
    def blank(value: Any) -> Any:
        if isinstance(value, dict):
            is_estimate = "mean" in value
            return None if is_estimate else {key: blank(child) for key, child in value.items()}
        return value

    data["methods"] = blank(data["methods"])
    data["comparisons"] = []
    results = parse_results(data)
    assert results.methods["ppo"].value("adoption.exact") is None


def test_a_hostile_value_cannot_fill_or_colour_the_error(data: dict[str, Any]) -> None:
    data["provenance"]["device"]["kind"] = "\x1b[31m" + "x" * 5000
    with pytest.raises(ResultsError) as caught:
        parse_results(data)
    assert len(str(caught.value)) < 300
    assert "\x1b" not in str(caught.value)


def test_written_results_come_back_the_same(results: Results, tmp_path: Path) -> None:
    results = changed(results, {"samples.0.ppo": "lone surrogate \ud800, override \u202e"})
    write_results(results, tmp_path / "results.json")
    assert load_results(tmp_path / "results.json") == results
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_a_failed_write_leaves_the_old_file(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "results.json"
    write_results(results, target)
    before = target.read_bytes()
    unchecked = results.recipe.model_copy(update={"dpo": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_results(results.model_copy(update={"recipe": unchecked}), target)

    def full_disk(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_results(results, target)
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "$: Input should be a valid dictionary"),
    ],
)
def test_an_unreadable_file_is_a_results_error(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "results.json").write_bytes(content)
    with pytest.raises(ResultsError) as caught:
        load_results(tmp_path / "results.json")
    assert said in str(caught.value)


def test_an_absent_file_is_a_results_error(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no such file"):
        load_results(tmp_path / "results.json")


def test_nan_in_a_file_is_named(data: dict[str, Any], tmp_path: Path) -> None:
    data["methods"]["dpo"]["length"]["mean"] = float("nan")
    (tmp_path / "results.json").write_text(json.dumps(data))
    with pytest.raises(ResultsError, match=r"\$\.methods\.dpo\.length\.mean: nan"):
        load_results(tmp_path / "results.json")


def test_the_published_schema_is_the_one_that_the_types_say() -> None:
    """`python -m rlhf_compare.reporting.schema` writes it anew."""
    published = files("rlhf_compare.reporting").joinpath("schema.json").read_text(encoding="utf-8")
    assert published == as_json()


def test_every_metric_of_the_table_stands_in_the_schema(data: dict[str, Any]) -> None:
    for metric in METRICS:
        if metric.source != "cost":
            put(data, f"methods.ppo.{metric.path}", "no estimate")
            with pytest.raises(ResultsError, match=metric.path.replace(".", r"\.")):
                parse_results(data)
            put(data, f"methods.ppo.{metric.path}", None)
    ppo = parse_results(data).methods["ppo"]
    assert all(ppo.value(metric.path) is None for metric in METRICS if metric.source != "cost")


# --- what a method was measured to be


def test_a_metric_is_asked_for_by_its_path(results: Results) -> None:
    ppo = results.methods["ppo"]
    assert plain(ppo.estimate("adoption.sampled")) == plain(estimate(0.81, 0.03, n=256))
    assert ppo.value("adoption.sampled") == 0.81
    assert ppo.value("cost.device_seconds.path_total") == 90.0
    assert ppo.value("cost.device_seconds.after_sft") == 70.0
    assert ppo.value("cost.tokens.generated") == 65_536


def test_what_was_not_measured_is_none(results: Results) -> None:
    gone = {f"methods.ppo.{path}": None for path in ("entropy", "cost.device_seconds")}
    ppo = changed(results, gone).methods["ppo"]
    assert ppo.estimate("entropy") is None and ppo.value("entropy") is None
    assert ppo.value("cost.device_seconds.after_sft") is None
    assert ppo.value("kl_to_reference.bound") is None  # a metric that these results do not have


@pytest.mark.parametrize("path", ["adoption.odd", "adoption", "runs.completed", "cost.stages", ""])
def test_a_path_of_no_metric_is_refused(results: Results, path: str) -> None:
    for ask in (results.methods["ppo"].estimate, results.methods["ppo"].value):
        with pytest.raises(KeyError, match=rf"no metric '{path}'; there are adoption\.exact"):
            ask(path)


def test_a_number_without_an_interval_is_no_estimate(results: Results) -> None:
    with pytest.raises(TypeError, match=r"cost\.tokens\.trained is a number without an interval"):
        results.methods["ppo"].estimate("cost.tokens.trained")


def test_a_probe_is_asked_for_by_its_name() -> None:
    point = Point.model_validate({"step": 5, "kl_exact": 1.5, "efficiency": None})
    assert point.value("kl_exact") == 1.5
    assert point.value("efficiency") is None and point.value("adoption_exact") is None
    with pytest.raises(KeyError, match="no probe 'kl'; there are held_out_loss, adoption_exact"):
        point.value("kl")
