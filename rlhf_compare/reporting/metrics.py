"""What a metric is: its path, unit, direction, format and formula, each said once.

Tables, figures, the verdict and the glossary all read this list, so a number looks the same and
means the same wherever it is printed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

NOT_MEASURED = "not measured"
NO_DIFFERENCE = "no difference shown"
DOES_NOT_APPLY = "does not apply"
Style = Literal["share", "number", "seconds", "mebibytes", "count"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One row of the side-by-side table.

    `path`: dotted path into a method, or the name of a derived value; `better`: which direction
    is wanted, empty where neither is; `reading`: one line with the formula, in Markdown.
    """

    path: str
    label: str
    unit: str
    better: Literal["higher", "lower", ""]
    style: Style
    group: str
    reading: str
    derive: Callable[[dict[str, Any]], float | None] | None = None

    @property
    def prose(self) -> str:
        """The label as a phrase: 'adoption, exact' reads 'exact adoption' in a sentence."""
        return " ".join(reversed(self.label.split(", ")))


@dataclass(frozen=True)
class Cell:
    """A formatted value; `interval` is empty where there is none."""

    mean: str
    interval: str = ""

    @property
    def measured(self) -> bool:
        return self.mean not in (NOT_MEASURED, DOES_NOT_APPLY)

    def __str__(self) -> str:
        return f"{self.mean} {self.interval}" if self.interval else self.mean


def display_name(method: str) -> str:
    """`ppo` is printed PPO, `dpo_chapter` DPO chapter."""
    first, *rest = method.split("_")
    return " ".join([first.upper() if len(first) <= 4 else first, *rest])


def seconds_after_sft(method: dict[str, Any]) -> float | None:
    """Device seconds of every stage but SFT, which all paths share."""
    device_seconds = method["cost"]["device_seconds"]
    if device_seconds is None:
        return None
    return float(sum(s["total"] for name, s in device_seconds["stages"].items() if name != "sft"))


def value_of(method: dict[str, Any], path: str) -> Any:
    """The value at a dotted path, or None as soon as the path meets a null."""
    value: Any = method
    for key in path.split("."):
        if value is None:
            return None
        value = value[key]
    return value


def mean_of(method: dict[str, Any], path: str) -> float | None:
    """The mean of the estimate at `path`, or None where it was not measured."""
    value = value_of(method, path)
    return None if value is None else float(value["mean"] if isinstance(value, dict) else value)


def _digits(scale: float) -> int:
    return 0 if scale >= 1000 else 1 if scale >= 100 else 2 if scale >= 1 else 3


def format_numbers(values: list[float], style: Style) -> list[str]:
    """A mean and its interval with the same number of decimals; a mean never rounds to zero."""
    if style == "count":
        return [f"{value:,.0f}" for value in values]
    if style == "mebibytes":
        values = [value / 2**20 for value in values]
    scale = max(abs(value) for value in values)
    digits = {
        "share": 3,
        "number": _digits(scale),
        "seconds": 0 if scale >= 1000 else 1,
        "mebibytes": 0 if scale >= 10 else 1,
    }[style]
    if values[0] != 0 and abs(values[0]) < 0.5 * 10.0**-digits:
        if style == "seconds":
            return ["<0.1" for _ in values]  # an order of magnitude of almost nothing says nothing
        return [f"{value + 0.0:.1e}" for value in values]  # -0.0 + 0.0 is 0.0
    texts = [f"{value:,.{digits}f}" for value in values]
    return [t.lstrip("-") if not t.strip("-0.") else t for t in texts]  # no "-0.000"


def format_value(value: Any, style: Style) -> Cell:
    """An estimate, a plain number or None as a table cell."""
    if value is None:
        return Cell(NOT_MEASURED)
    if not isinstance(value, dict):
        return Cell(format_numbers([value], style)[0])
    if value["low"] is None:
        return Cell(format_numbers([value["mean"]], style)[0])
    mean, low, high = format_numbers([value["mean"], value["low"], value["high"]], style)
    return Cell(mean, f"[{low}, {high}]")


def cell_of(method: dict[str, Any], metric: Metric) -> Cell:
    """The cell of one method in this metric's row."""
    value = metric.derive(method) if metric.derive else value_of(method, metric.path)
    return format_value(value, metric.style)


# a path's first part to the group of rows it stands in; the rest describe the text itself
_GROUPS = {
    "adoption": "behaviour",
    "kl_to_reference": "drift",
    "reward": "reward",
    "win_rate_vs_sft": "reward",
    "cost": "cost",
}


def _metric(
    path: str,
    label: str,
    unit: str,
    better: Literal["higher", "lower", ""],
    style: Style,
    reading: str,
    derive: Callable[[dict[str, Any]], float | None] | None = None,
) -> Metric:
    return Metric(
        path=path,
        label=label,
        unit=unit,
        better=better,
        style=style,
        group=_GROUPS.get(path.split(".")[0], "text"),
        reading=reading,
        derive=derive,
    )


_A, _K, _C = "adoption", "kl_to_reference", "cost.device_seconds"

METRICS: tuple[Metric, ...] = (
    _metric(
        f"{_A}.exact", "adoption, exact", "probability", "higher", "share",
        "mean over prompts of Π_t π(prefix_t | prompt, prefix_<t): the probability that an "
        "answer opens with the asked-for words, by teacher forcing; nothing is sampled.",
    ),
    _metric(
        f"{_A}.sampled", "adoption, sampled", "share", "higher", "share",
        "answers that open with those words / answers, sampled at temperature 1.",
    ),
    _metric(
        f"{_A}.greedy", "adoption, greedy", "share", "higher", "share",
        "the same share when every token is the most likely one, one answer a prompt.",
    ),
    _metric(
        f"{_K}.exact", "KL, exact", "nats/response", "lower", "number",
        "E_y~π Σ_t Σ_v π(v) log(π(v) / π_ref(v)): drift from the reference, over the whole "
        "vocabulary at each position of sampled responses.",
    ),
    _metric(
        f"{_K}.k1", "KL, k1", "nats/response", "lower", "number",
        "E_y~π Σ_t log(π(y_t) / π_ref(y_t)): the same quantity from the sampled tokens alone; "
        "unbiased but noisier, a check on the exact one.",
    ),
    _metric(
        f"{_K}.k3", "KL, k3", "nats/response", "lower", "number",
        "E_y~π Σ_t (ρ - 1 - log ρ), ρ = π_ref(y_t) / π(y_t): the same again, never negative.",
    ),
    _metric(
        f"{_K}.per_token", "KL per token", "nats/token", "lower", "number",
        "mean over responses of KL / tokens, each response one vote: drift that longer answers do "
        "not inflate.",
    ),
    _metric(
        f"{_K}.style", "KL, style part", "nats/response", "", "number",
        "the positions of exact KL while the response is still on the prefix; style + content "
        "= exact, by the chain rule.",
    ),
    _metric(
        f"{_K}.content", "KL, content part", "nats/response", "lower", "number",
        "the positions after the prefix, or after leaving it: drift that nobody asked for.",
    ),
    _metric(
        f"{_K}.floor", "KL floor", "nats/response", "", "number",
        "mean over prompts of a log(a/p0) + (1-a) log((1-a)/(1-p0)), with a and p0 the prompt's "
        "adoption by the policy and by SFT: no policy can adopt so far for less.",
    ),
    _metric(
        f"{_K}.efficiency", "efficiency", "ratio", "higher", "share",
        "KL floor / exact KL: the share of the drift that the behaviour itself required; at "
        "most 1 but for sampling noise.",
    ),
    _metric(
        "reward.proxy", "reward, proxy", "score", "higher", "number",
        "mean r(x, y) by the reward model that PPO was trained against; rises when that model "
        "is fooled, too. A score's zero means nothing: read differences.",
    ),
    _metric(
        "reward.held_out", "reward, held out", "score", "higher", "number",
        "mean r(x, y) by a reward model that no policy was trained against.",
    ),
    _metric(
        "win_rate_vs_sft", "win rate against SFT", "share", "higher", "share",
        "prompts on which the answer is preferred to the SFT model's / prompts; 0.5 is a draw.",
    ),
    _metric(
        "length", "response length", "tokens", "", "number",
        "mean number of tokens in a sampled response, the end token counted.",
    ),
    _metric(
        "eos_rate", "ended by itself", "share", "higher", "share",
        "responses that reached the end token before the length limit / responses (EOS rate).",
    ),
    _metric(
        "entropy", "entropy", "nats/token", "", "number",
        "-Σ_v π(v) log π(v), mean over the tokens of each response, then over responses: near 0, "
        "the policy has one answer left.",
    ),
    _metric(
        "distinct_2", "distinct-2", "ratio", "", "share",
        "different pairs of neighbouring tokens / all such pairs in the responses: low is "
        "repetitive.",
    ),
    _metric(
        f"{_C}.path_total", "device time, path", "seconds", "lower", "seconds",
        "seconds the device was held for every stage the path needs, SFT included (PPO: SFT + "
        "reward model + PPO; DPO: SFT + reference log-probabilities + DPO); evaluation is not "
        "charged.",
    ),
    _metric(
        f"{_C}.after_sft", "device time after SFT", "seconds", "lower", "seconds",
        "the same without the SFT stage, which both paths share.",
        derive=seconds_after_sft,
    ),
    _metric(
        "cost.peak_memory_bytes", "peak memory", "MiB", "lower", "mebibytes",
        "the most memory that the path's stages held at once, evaluations in between left out (on "
        "a CPU, resident memory of the process, which may keep what an evaluation took); 1 MiB = "
        "2^20 bytes.",
    ),
    _metric(
        "cost.tokens.trained", "tokens trained on", "tokens", "", "count",
        "tokens that went through a gradient step, repeats counted.",
    ),
    _metric(
        "cost.tokens.generated", "tokens generated", "tokens", "", "count",
        "tokens that the policy sampled in order to learn from them.",
    ),
    _metric(
        "cost.padding_share", "padding, pairs", "share", "lower", "share",
        "positions of the method's training batches that hold padding, over all positions.",
    ),
)  # fmt: skip

BY_PATH = {metric.path: metric for metric in METRICS}
