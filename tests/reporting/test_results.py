"""The contract refuses what breaks it and names the place."""

import copy
import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.metrics import METRICS
from rlhf_compare.reporting.results import ResultsError, load_results, validate, write_results
from rlhf_compare.reporting.schema import as_json

from .conftest import estimate


def put(results: dict[str, Any], path: str, value: Any) -> None:
    """Set the value at a dotted path; list indices are digits."""
    *parents, last = path.split(".")
    target: Any = results
    for key in parents:
        target = target[int(key)] if isinstance(target, list) else target[key]
    target[last] = value


def test_the_made_up_results_keep_the_contract(results: dict[str, Any]) -> None:
    validate(results)


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
    results: dict[str, Any], path: str, value: Any, said: str
) -> None:
    put(results, path, value)
    with pytest.raises(ResultsError) as caught:
        validate(results)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["low", "n", "seeds"])
def test_a_missing_key_is_named(results: dict[str, Any], key: str) -> None:
    del results["methods"]["ppo"]["entropy"][key]
    with pytest.raises(ResultsError, match=rf"\$\.methods\.ppo\.entropy\.{key}: Field required"):
        validate(results)


def test_intervals_must_be_in_order_and_whole(results: dict[str, Any]) -> None:
    results["methods"]["ppo"]["entropy"].update(low=2.0, high=1.0)
    with pytest.raises(ResultsError, match=r"methods\.ppo\.entropy: low \(2\.0\) is above high"):
        validate(results)
    results["methods"]["ppo"]["entropy"].update(low=None, high=1.0)
    with pytest.raises(ResultsError, match="both be numbers or both be null"):
        validate(results)


def test_every_estimate_may_be_null(results: dict[str, Any]) -> None:
    def blank(value: Any) -> Any:
        if isinstance(value, dict):
            is_estimate = "mean" in value
            return None if is_estimate else {key: blank(child) for key, child in value.items()}
        return value

    results["methods"] = blank(results["methods"])
    results["comparisons"] = []
    validate(results)


def test_a_hostile_value_cannot_fill_or_colour_the_error(results: dict[str, Any]) -> None:
    results["provenance"]["device"]["kind"] = "\x1b[31m" + "x" * 5000
    with pytest.raises(ResultsError) as caught:
        validate(results)
    assert len(str(caught.value)) < 300
    assert "\x1b" not in str(caught.value)


def test_written_results_come_back_the_same(results: dict[str, Any], tmp_path: Path) -> None:
    results["samples"][0]["ppo"] = "lone surrogate \ud800, override \u202e"
    write_results(results, tmp_path / "results.json")
    assert load_results(tmp_path / "results.json") == results
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_a_failed_write_leaves_the_old_file(
    results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "results.json"
    write_results(results, target)
    before = target.read_bytes()
    broken = copy.deepcopy(results)
    broken["methods"]["ppo"]["entropy"] = estimate(float("nan"))
    with pytest.raises(ResultsError):
        write_results(broken, target)

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


def test_nan_in_a_file_is_named(results: dict[str, Any], tmp_path: Path) -> None:
    results["methods"]["dpo"]["length"]["mean"] = float("nan")
    (tmp_path / "results.json").write_text(json.dumps(results))
    with pytest.raises(ResultsError, match=r"\$\.methods\.dpo\.length\.mean: nan"):
        load_results(tmp_path / "results.json")


def test_the_published_schema_is_the_one_that_the_types_say() -> None:
    """`python -m rlhf_compare.reporting.schema` writes it anew."""
    published = files("rlhf_compare.reporting").joinpath("schema.json").read_text(encoding="utf-8")
    assert published == as_json()


def test_every_metric_of_the_table_stands_in_the_schema(results: dict[str, Any]) -> None:
    for metric in METRICS:
        if metric.source != "cost":
            put(results, f"methods.ppo.{metric.path}", "no estimate")
            with pytest.raises(ResultsError, match=metric.path.replace(".", r"\.")):
                validate(results)
            put(results, f"methods.ppo.{metric.path}", None)
    validate(results)
