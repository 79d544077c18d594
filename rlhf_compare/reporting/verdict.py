"""The opening paragraph: what the numbers say, and no more than they say.

A method is called further, lower or higher only where the results hold a comparison whose
interval excludes 0; everything else is reported as two numbers without a winner.
"""

from typing import Any

from rlhf_compare.reporting.metrics import (
    BY_PATH,
    Metric,
    cell_of,
    display_name,
    format_value,
    mean_of,
    seconds_after_sft,
    value_of,
)

ADOPTION, DRIFT, COST = (
    "adoption.exact",
    "kl_to_reference.exact",
    "cost.device_seconds.path_total",
)
# what "the behaviour" is, best evidence first; a preference recipe may measure no adoption
_BEHAVIOUR = (
    ADOPTION,
    "adoption.sampled",
    "adoption.greedy",
    "reward.held_out",
    "win_rate_vs_sft",
)


def contenders(results: dict[str, Any]) -> list[str]:
    """The methods other than the SFT model from which all of them start."""
    return [name for name in results["methods"] if name != "sft"]


def main_pair(results: dict[str, Any]) -> tuple[str, str] | None:
    """PPO and DPO where both ran, else the first two methods that did, else None."""
    names = contenders(results)
    if "ppo" in names and "dpo" in names:
        return "ppo", "dpo"
    return (names[0], names[1]) if len(names) >= 2 else None


def base_rate(results: dict[str, Any]) -> float | None:
    """p0: how probable the behaviour is before any preference learning."""
    sft = results["methods"].get("sft")
    return None if sft is None else mean_of(sft, ADOPTION)


def times(numerator: float, denominator: float) -> str:
    """A ratio of at least 1 as '3.2 times'."""
    ratio = numerator / denominator
    return f"{ratio:,.0f} times" if ratio >= 100 else f"{ratio:.1f} times"


def percent(share: float) -> str:
    """0.5 as '50 %'."""
    return f"{100 * share:.0f} %"


def verdict(results: dict[str, Any]) -> list[str]:
    """Sentences, most important first; plain text, to be joined into one paragraph."""
    pair = main_pair(results)
    p0 = base_rate(results)
    sentences = []
    if p0 is not None:
        start = format_value(results["methods"]["sft"]["adoption"]["exact"], "share")
        sentences.append(f"The SFT model shows the behaviour with probability {start} (p0).")
    if pair is not None:
        sentences += _pair_sentences(results, *pair)
    for name in contenders(results):
        if pair is None or name not in pair:
            sentences.append(_alone(results, name, only=len(contenders(results)) == 1))
    if not contenders(results):
        sentences.append("No preference learning was run, so there is nothing to compare yet.")
    sentences += _troubles(results)
    if contenders(results) and len(results["provenance"]["seeds"]) == 1:
        sentences.append("One seed: the intervals hold no training luck.")
    return sentences


def _pair_sentences(results: dict[str, Any], first: str, second: str) -> list[str]:
    shared = [path for path in _BEHAVIOUR if _both_measured(results, path, first, second)]
    sentences = []
    if shared:
        sentences.append(_compared(results, shared[0], (first, second), "moved further"))
    else:
        sentences.append("How far the behaviour moved was not measured for both methods.")
    if _both_measured(results, DRIFT, first, second):
        sentences.append(_compared(results, DRIFT, (first, second), "drifted further from SFT"))
    else:
        sentences.append("Drift from the reference was not measured for both methods.")
    sentences.append(_efficiency(results, first, second))
    sentences.append(_cost(results, first, second))
    return [sentence for sentence in sentences if sentence]


def _both_measured(results: dict[str, Any], path: str, first: str, second: str) -> bool:
    methods = results["methods"]
    return all(value_of(methods[name], path) is not None for name in (first, second))


def _compared(results: dict[str, Any], path: str, pair: tuple[str, str], wording: str) -> str:
    """One sentence about one metric; `wording` is what the method with the higher value did."""
    metric, methods = BY_PATH[path], results["methods"]
    unit = f" {_unit(metric)}" if _unit(metric) else ""
    cells = {name: str(cell_of(methods[name], metric)) for name in pair}
    numbers = ", ".join(f"{display_name(name)} {cells[name]}" for name in pair) + unit
    row = _comparison(results, path, pair)
    if row is None or row["difference"] is None:
        start = metric.prose[0].upper() + metric.prose[1:]
        return f"{start}: {numbers}; no difference was measured, so neither is called higher."
    difference = format_value(row["difference"], metric.style)
    between = f"{display_name(row['a'])} - {display_name(row['b'])}: {difference}"
    winner = next((row[side] for side in ("a", "b") if row["verdict"] == f"{row[side]} higher"), "")
    if not winner:
        return f"No difference shown in {metric.prose}: {numbers} ({between})."
    loser = pair[1] if winner == pair[0] else pair[0]
    return (
        f"{display_name(winner)} {wording}: {metric.prose} {cells[winner]} against "
        f"{cells[loser]}{unit} with {display_name(loser)} ({between})."
    )


def _unit(metric: Metric) -> str:
    """The unit in words, empty for shares and probabilities, which their names announce."""
    return "" if metric.style == "share" else metric.unit.replace("/", " per ")


def _comparison(results: dict[str, Any], path: str, pair: tuple[str, str]) -> dict[str, Any] | None:
    for row in results["comparisons"]:
        if row["metric"] == path and {row["a"], row["b"]} == set(pair):
            return dict(row)
    return None


def _efficiency(results: dict[str, Any], first: str, second: str) -> str:
    shares = [
        mean_of(results["methods"][name], "kl_to_reference.efficiency") for name in (first, second)
    ]
    if shares[0] is None or shares[1] is None or max(shares[0], shares[1]) > 1.0:
        return ""  # above 1 is noise or a fault, and the caveats say so
    return (
        f"To adopt as far as it did, {display_name(first)} needed at least {percent(shares[0])} "
        f"of its drift, {display_name(second)} at least {percent(shares[1])}."
    )


def _cost(results: dict[str, Any], first: str, second: str) -> str:
    methods = results["methods"]
    seconds = {name: mean_of(methods[name], COST) for name in (first, second)}
    if any(value is None for value in seconds.values()):
        return "Device time was not measured for both methods."
    dear, cheap = sorted((first, second), key=lambda name: -(seconds[name] or 0.0))
    total, less = seconds[dear] or 0.0, seconds[cheap] or 0.0
    if less <= 0.0:
        return ""
    numbers = f"{format_value(total, 'seconds')} s against {format_value(less, 'seconds')} s"
    sentence = (
        f"The path to {display_name(dear)} took {times(total, less)} the device seconds of the "
        f"path to {display_name(cheap)} ({numbers})"
    )
    later = [seconds_after_sft(methods[name]) or 0.0 for name in (dear, cheap)]
    if later[1] > 0.0 and later != [total, less]:
        after = " s against ".join(str(format_value(value, "seconds")) for value in later)
        return f"{sentence}; after SFT, which both share, {after} s."
    return f"{sentence}."


def _alone(results: dict[str, Any], name: str, *, only: bool) -> str:
    """One method's behaviour, drift and cost without a comparison."""
    method, facts = results["methods"][name], []
    for path in (ADOPTION, DRIFT, COST):
        metric = BY_PATH[path]
        cell = cell_of(method, metric)
        unit = _unit(metric) if cell.measured else ""
        facts.append(f"{metric.prose} {cell} {unit}".rstrip())
    lead = f"Only {display_name(name)} was run" if only else display_name(name)
    return f"{lead}: {'; '.join(facts)}."


def _troubles(results: dict[str, Any]) -> list[str]:
    """Failed and collapsed runs: a verdict that leaves them out would flatter."""
    sentences = []
    for name, method in results["methods"].items():
        runs = method["runs"]
        if runs["failed"] or runs["collapsed"]:
            sentences.append(
                f"{display_name(name)}: {runs['completed']} runs completed, {runs['failed']} "
                f"failed, {runs['collapsed']} collapsed."
            )
    return sentences
