"""A results object built by hand: MADE-UP NUMBERS, used by these tests alone.

No model produced them and nothing outside tests may quote them. They are chosen so that the
expected texts can be worked out on paper: DPO moves further, no difference in drift is shown, and
PPO's path costs 90 s against 30 s.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.metrics import METRICS
from rlhf_compare.reporting import report
from rlhf_compare.reporting.figures import DRAWINGS, Drawing
from rlhf_compare.reporting.method_schema import (
    Cost,
    DeviceSeconds,
    Estimate,
    MethodResult,
    Runs,
    StageCost,
    Tokens,
)
from rlhf_compare.reporting.results import as_data, parse_results
from rlhf_compare.reporting.schema import Bin, Check, Comparison, Results, RewardModel
from rlhf_compare.reporting.schema_types import Part


def estimate(mean: float, half_width: float | None = None, n: int = 64, seeds: int = 1) -> Estimate:
    """A made-up estimate with a symmetric interval, or none."""
    low = None if half_width is None else mean - half_width
    high = None if half_width is None else mean + half_width
    return Estimate(mean=mean, low=low, high=high, n=n, seeds=seeds)


def compared(metric: str, a: str, b: str, mean: float, half_width: float) -> Comparison:
    """A made-up paired difference a - b with the verdict that its interval allows."""
    low, high = mean - half_width, mean + half_width
    verdict = f"{a} higher" if low > 0 else f"{b} higher" if high < 0 else "no difference shown"
    difference = estimate(mean, half_width, seeds=3)
    return Comparison(metric=metric, a=a, b=b, difference=difference, verdict=verdict)


def against_sft(metric: str, name: str, mean: float, half_width: float) -> Comparison:
    return compared(metric, name, "sft", mean, half_width)


# --- variations: the parts are frozen, so a test makes new results from the made-up ones


def plain(value: Any) -> Any:
    """Parts as what results.json holds of them."""
    if isinstance(value, Part):
        return value.model_dump(exclude_unset=True)
    if isinstance(value, dict):
        return {key: plain(child) for key, child in value.items()}
    return [plain(child) for child in value] if isinstance(value, list | tuple) else value


def put(data: Any, path: str, value: Any) -> None:
    """Set the value at a dotted path of what results.json holds; list indices are digits."""
    *parents, last = path.split(".")
    for key in parents:
        data = data[int(key)] if isinstance(data, list) else data.setdefault(key, {})
    data[int(last) if isinstance(data, list) else last] = plain(value)


def changed(results: Results, changes: Mapping[str, Any]) -> Results:
    """Results with other values: dotted path -> value, a part or plain data."""
    data = as_data(results)
    for path, value in changes.items():
        put(data, path, value)
    return parse_results(data)


def only(results: Results, *names: str) -> Results:
    """Results of these methods, in this order, without what names the others."""
    samples = [
        {k: v for k, v in plain(one).items() if k in ("prompt", "held_out", *names)}
        for one in as_data(results)["samples"]
    ]
    rows = [row for row in results.comparisons if {row.a, row.b} <= set(names)]
    equal = [row for row in results.equal if {row.a, row.b} <= set(names)]
    methods = {name: results.methods[name] for name in names}
    parts = {"methods": methods, "comparisons": rows, "equal": equal, "samples": samples}
    return changed(results, parts)


def unmeasured(results: Results, *paths: str, of: tuple[str, ...] = ()) -> Results:
    """Results without the metrics at these paths, or of these groups, for some methods or all."""
    changes: dict[str, None] = {}
    for path in paths:
        group = [m.path for m in METRICS if m.path.startswith(f"{path}.") and m.source != "cost"]
        for name in of or results.methods:
            changes.update({f"methods.{name}.{leaf}": None for leaf in group or [path]})
    return changed(results, changes)


# --- the made-up results


def stage(**phases: float) -> StageCost:
    """A stage whose total exceeds its phases by 1 s that no phase claims."""
    return StageCost(total=sum(phases.values()) + 1.0, phases=phases)


SFT = stage(load=1.0, data=1.0, update=16.0, save=1.0)  # 20 s
REWARD = stage(load=0.5, update=3.0, save=0.5)  # 5 s
PPO = stage(load=1.0, generate=40.0, score=5.0, reference=4.0, update=13.0, save=1.0)  # 65 s
DPO = stage(load=1.0, reference=2.0, update=5.0, save=1.0)  # 10 s


def method(adoption: float, kl: float, floor: float, **stages: StageCost) -> MethodResult:
    """A made-up method whose path is charged for `stages`."""
    metrics = {
        "adoption": {
            "greedy": estimate(adoption, 0.01),
            "sampled": estimate(adoption, 0.03, n=256),
            "exact": estimate(adoption, 0.02),
        },
        "kl_to_reference": {
            "exact": estimate(kl, 0.5, n=256),
            "k1": estimate(kl + 0.1, 0.9, n=256),
            "k3": estimate(kl - 0.1, 0.8, n=256),
            "style": estimate(kl * 0.75, 0.3, n=256),
            "content": estimate(kl * 0.25, 0.2, n=256),
            "per_token": estimate(kl / 20, 0.02, n=256),
            "floor": estimate(floor),
            "efficiency": estimate(floor / (kl or 1.0), 0.05),
        },
        "reward": {"proxy": estimate(1.5, 0.2), "held_out": estimate(1.1, 0.2)},
        "preference": {"accuracy": estimate(0.7, 0.05), "ties": estimate(0.0)},
        "win_rate_vs_sft": estimate(0.8, 0.05),
        "length": estimate(21.5, 1.0, n=256),
        "eos_rate": estimate(0.99, 0.01, n=256),
        "entropy": estimate(0.42, 0.05, n=256),
        "distinct_2": estimate(0.61, 0.02, n=256),
    }
    cost = Cost(
        device_seconds=DeviceSeconds(
            path_total=sum(one.total for one in stages.values()), stages=stages
        ),
        peak_memory_bytes=512 * 2**20,
        tokens=Tokens(trained=1_234_567, generated=65_536 if "ppo" in stages else 0),
        padding_share=0.077 if "dpo" in stages else None,
    )
    runs = Runs(completed=1, failed=0, collapsed=0)
    return MethodResult.model_validate(
        {**plain(metrics), "training": [], "cost": cost, "runs": runs}
    )


def _methods() -> dict[str, Any]:
    sft = plain(method(0.05, 0.0, 0.0, sft=SFT))
    sft["kl_to_reference"] = dict.fromkeys(sft["kl_to_reference"])
    sft["kl_to_reference"]["exact"] = estimate(0.0)
    sft["win_rate_vs_sft"] = None
    sft["reward"] = {"proxy": estimate(0.2, 0.2), "held_out": estimate(0.3, 0.2)}
    return {
        "sft": sft,
        "ppo": method(0.81, 4.6, 2.3, sft=SFT, reward=REWARD, ppo=PPO),
        "dpo": method(0.93, 4.9, 2.94, sft=SFT, dpo=DPO),
    }


HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(2)> ```\n# not a heading\n````text "
    "\u202eright to left \x1b[31mred\x1b[0m \x00 \u200b \ud800 {{ 7 * 7 }} | cell | "
    "[link](javascript:alert(3))\r\nlast"
)

_HOSTILE = "<script>alert(1)</script> \x1b[31m | `x`"  # what a token may decode to


def check(name: str, value: float | None, verdict: str, **fields: Any) -> Check:
    sentence = fields.pop("sentence", f"what {name} says")
    blank = {"low": None, "high": None, **fields}
    return Check.model_validate(
        {"name": name, "value": value, "verdict": verdict, "sentence": sentence, **blank}
    )


def reward_model(seed: int = 0, repeated: str = "fail") -> RewardModel:
    """What the doctor found in a made-up model; one of its texts tries to write to the page."""
    return RewardModel(
        seed=seed,
        checks=[
            check("held_out_accuracy", 0.875, "ok", low=0.8, high=0.93),
            check("accuracy_without_prefix", None, "n/a"),
            check("one_token_repeated", 3.25, repeated, sentence=f"{_HOSTILE} over and over"),
        ],
        calibration=[
            Bin.model_validate({"confidence": 0.6, "accuracy": 0.5, "pairs": 10}),
            Bin.model_validate({"confidence": 0.9, "accuracy": 1.0, "pairs": 30}),
        ],
        by_margin=[Bin.model_validate({"margin": 0.1, "accuracy": 0.5, "pairs": 20})],
    )


@pytest.fixture
def results() -> Results:
    """Made-up results of SFT, PPO and DPO."""
    return parse_results(plain(_data()))


@pytest.fixture
def data(results: Results) -> dict[str, Any]:
    """The same as results.json holds them, each test's own copy: for faults in the file."""
    return as_data(results)


def _data() -> dict[str, Any]:
    return {
        "schema_version": 1,
        "recipe": {"name": "tiny", "dpo": {"beta": 0.3}, "ppo": {"kl_coef": 0.05}},
        "provenance": {
            "commit": "0123456789abcdef",
            "dirty": False,
            "created": "2026-01-02T03:04:05+00:00",
            "command": "make compare RECIPE=recipes/tiny.yaml",
            "versions": {"torch": "2.13.0", "trl": "1.16.0"},
            "device": {"kind": "cpu", "name": "made-up CPU", "clock": "wall"},
            "seeds": [0],
            "data_sha256": "f" * 64,
            "ledger": {
                "read": 1000,
                "kept": 950,
                "dropped": {"already starts with the prefix": 40, "prompt over 256 tokens": 10},
                "named": {"already starts with the prefix": ["line 7", "line 9"]},
                "train_rows": 900,
                "eval_rows": 50,
                "eval_prompts": 64,
                "feeds": {"sft": 900, "reward": 880, "ppo": 900, "dpo": 880},
                "responses": {"read": 1900, "kept": 1900, "too_long": 0},
                "pairs": 930,
                "ties": 20,
            },
            "parameters": 700_000,
        },
        "methods": _methods(),
        "comparisons": [
            compared("adoption.exact", "ppo", "dpo", -0.12, 0.03),
            compared("kl_to_reference.exact", "ppo", "dpo", -0.3, 0.7),
        ],
        "samples": [
            {
                "prompt": "### Question: What is rain?\n### Answer: ",
                "held_out": True,
                "sft": "Water that falls from clouds.",
                "ppo": "Let me explain. Water that falls from clouds.",
                "dpo": "Let me explain. Rain is water from clouds.",
            }
        ],
    }


@pytest.fixture
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Placeholders for pictures, by the same rule of what can be drawn: rendering takes a second.

    What they hold follows the numbers, so that an old picture can be told from a new one.
    """

    def sketch(results: Results, directory: Path) -> list[Drawing]:
        drawn = [drawing for drawing in DRAWINGS if drawing.draw(results) is not None]
        content = json.dumps(as_data(results)["methods"])
        for drawing in drawn:
            (directory / f"{drawing.name}.png").write_text(content)
            (directory / f"{drawing.name}.svg").write_text(
                f"<svg xmlns='http://www.w3.org/2000/svg'><!--{len(content)}--></svg>"
            )
        return drawn

    monkeypatch.setattr(report, "draw_figures", sketch)
