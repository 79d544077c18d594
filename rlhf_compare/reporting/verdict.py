"""The opening paragraph: what the numbers say, and no more than they say.

A method is called further, lower or higher only where the results hold a comparison whose
interval excludes 0; everything else is reported as two numbers without a winner.
"""

from rlhf_compare.metrics import BY_PATH, Metric
from rlhf_compare.reporting.applicable import applies
from rlhf_compare.reporting.comparisons import comparison, contenders, main_pair
from rlhf_compare.reporting.cost_words import COST, COST_AFTER_SFT, path_costs
from rlhf_compare.reporting.doctor import overruled
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.levels import level
from rlhf_compare.reporting.method_schema import MethodResult
from rlhf_compare.reporting.numbers import Cell, format_value
from rlhf_compare.reporting.preferred import preferred
from rlhf_compare.reporting.schema import NO_DIFFERENCE, NOT_DECIDED, Comparison, Results

ADOPTION, DRIFT = "adoption.exact", "kl_to_reference.exact"
_EFFICIENCY = "kl_to_reference.efficiency"
# what "the behaviour" is, best evidence first; a preference recipe may measure no adoption
_BEHAVIOUR = (
    ADOPTION,
    "adoption.sampled",
    "adoption.greedy",
    "reward.held_out",
    "win_rate_vs_sft",
)
_FAILED = ("not learned", "not shown")


def base_rate(results: Results) -> float | None:
    """p0: how probable the behaviour is before any preference learning."""
    sft = results.methods.get("sft")
    return None if sft is None else sft.value(ADOPTION)


def percent(share: float) -> str:
    """0.5 as '50 %'."""
    return f"{100 * share:.0f} %"


def verdict(results: Results) -> list[str]:
    """Sentences, most important first; plain text, to be joined into one paragraph."""
    pair = main_pair(results)
    sentences = preferred(results, pair) if pair is not None else []
    if pair is not None and _neither_learned(results, pair):
        sentences += _neither_sentences(results, pair)
    else:
        if base_rate(results) is not None:
            start = _cell(results.methods["sft"], BY_PATH[ADOPTION])
            sentences.append(f"The SFT model shows the behaviour with probability {start} (p0).")
        if pair is not None:
            sentences += _pair_sentences(results, *pair)
    for name in contenders(results):
        if pair is None or name not in pair:
            sentences.append(_alone(results, name, only=len(contenders(results)) == 1))
    if not contenders(results):
        sentences.append("No preference learning was run, so there is nothing to compare yet.")
    sentences += _troubles(results)
    if contenders(results) and len(results.provenance.seeds) == 1:
        name = results.recipe.name
        sentences.append(
            "One seed: a direction, no verdict. What would decide: rlhf-compare compare --recipe "
            f'{name} --seeds "0 1 2".'
        )
    return [sentence for sentence in sentences if sentence]


def _evidence(results: Results, *names: str) -> str | None:
    """The best measure of the behaviour that all of these methods have."""
    return next((path for path in _BEHAVIOUR if _all_measured(results, path, *names)), None)


def _neither_learned(results: Results, pair: tuple[str, str]) -> bool:
    path = _evidence(results, *pair)
    return path is not None and all(level(results, name, path) in _FAILED for name in pair)


def _neither_sentences(results: Results, pair: tuple[str, str]) -> list[str]:
    """Level before difference: where both failed, which of the two is higher decides nothing."""
    path = _evidence(results, *pair)
    assert path is not None, "callers ask _neither_learned() first"
    certain = all(level(results, name, path) == "not learned" for name in pair)
    failed = _verb(path) if certain else f"is shown to have {_verb(path)}"
    first, second = (label_of(results, name) for name in pair)
    numbers = _numbers(results, path, (*pair, "sft"))
    drift = "Drift from the reference was not measured for both methods."
    if _all_measured(results, DRIFT, *pair):
        drift = f"{_start(BY_PATH[DRIFT])}: {_numbers(results, DRIFT, pair)}."
    return [f"Neither {first} nor {second} {failed}: {numbers}.", drift, *_cost(results, *pair)]


def _verb(path: str) -> str:
    """What a method that reached something in this metric has done."""
    if path.startswith("adoption."):
        return "learned the behaviour"
    return f"raised the {BY_PATH[path].prose} above SFT's"


def _numbers(results: Results, path: str, names: tuple[str, ...]) -> str:
    metric, methods = BY_PATH[path], results.methods
    cells = [f"{label_of(results, n)} {_cell(methods[n], metric)}" for n in names if n in methods]
    lead = f"{metric.prose} of " if path != DRIFT else ""
    unit = f" {_unit(metric)}" if _unit(metric) else ""
    p0 = " (p0)" if path == ADOPTION and "sft" in names and "sft" in methods else ""
    return f"{lead}{', '.join(cells)}{unit}{p0}"


def _start(metric: Metric) -> str:
    return metric.prose[0].upper() + metric.prose[1:]


def _pair_sentences(results: Results, first: str, second: str) -> list[str]:
    path = _evidence(results, first, second)
    sentences = []
    if path is None:
        sentences.append("How far the behaviour moved was not measured for both methods.")
    else:
        sentences += [_shortfall(results, name, path) for name in (first, second)]
        sentences.append(_compared(results, path, (first, second), "moved further"))
    if _all_measured(results, DRIFT, first, second):
        sentences.append(_compared(results, DRIFT, (first, second), "drifted further from SFT"))
    else:
        sentences.append("Drift from the reference was not measured for both methods.")
    if path is None or not any(level(results, n, path) in _FAILED for n in (first, second)):
        sentences.append(_efficiency(results, first, second))
    return [*sentences, *_cost(results, first, second)]


def _shortfall(results: Results, name: str, path: str) -> str:
    """A sentence where a method did not learn the behaviour; empty where it did or is unknown."""
    found = level(results, name, path)
    if found not in _FAILED:
        return ""
    numbers = _numbers(results, path, (name, "sft"))
    if found == "not shown":
        return f"{label_of(results, name)} is not shown to have {_verb(path)}: {numbers}."
    verb = _verb(path).replace("learned", "learn").replace("raised", "raise")
    return f"{label_of(results, name)} did not {verb}: {numbers}."


def _all_measured(results: Results, path: str, *names: str) -> bool:
    return all(results.methods[name].measured(path) is not None for name in names)


def _cell(method: MethodResult, metric: Metric) -> Cell:
    return format_value(method.measured(metric.path), metric.style)


def _compared(results: Results, path: str, pair: tuple[str, str], wording: str) -> str:
    """One sentence about one metric; `wording` is what the method with the higher value did."""
    metric, methods = BY_PATH[path], results.methods
    unit = f" {_unit(metric)}" if _unit(metric) else ""
    cells = {name: str(_cell(methods[name], metric)) for name in pair}
    numbers = ", ".join(f"{label_of(results, name)} {cells[name]}" for name in pair) + unit
    row = comparison(results, path, *pair)
    if row is None or row.difference is None:
        return (
            f"{_start(metric)}: {numbers}; these results hold no paired difference, so neither is "
            "called higher."
        )
    difference = format_value(row.difference, metric.style)
    between = f"{label_of(results, row.a)} - {label_of(results, row.b)}: {difference}"
    winner = row.winner
    if row.verdict in NOT_DECIDED:
        return f"{_start(metric)}: {numbers} ({between}); {row.verdict}."
    if winner is None:
        return f"No difference shown in {metric.prose}: {numbers} ({between}{_margin(row)})."
    loser = pair[1] if winner == pair[0] else pair[0]
    return (
        f"{label_of(results, winner)} {wording}: {metric.prose} {cells[winner]} against "
        f"{cells[loser]}{unit} with {label_of(results, loser)} ({between})."
    )


def _margin(row: Comparison) -> str:
    """How large an unseen difference may still be, or why an interval without 0 shows none."""
    if row.difference is None or row.difference.interval is None or row.excluded is None:
        return ""
    low, high = row.difference.interval
    if not low <= 0.0 <= high and row.p_adjusted is not None:
        return f"; p = {row.p_adjusted:.2g} after Holm's adjustment"
    metric = BY_PATH[row.metric]
    return f"; more than {format_value(row.excluded, metric.style)} is excluded"


def _unit(metric: Metric) -> str:
    """The unit in words, empty for shares and probabilities, which their names announce."""
    return "" if metric.style == "share" else metric.unit.replace("/", " per ")


def _efficiency(results: Results, first: str, second: str) -> str:
    shares = [results.methods[name].value(_EFFICIENCY) for name in (first, second)]
    if shares[0] is None or shares[1] is None or max(shares[0], shares[1]) > 1.0:
        return ""  # above 1 is noise or a fault, and the caveats say so
    row = comparison(results, _EFFICIENCY, first, second)
    between = ""
    if row is not None and row.difference is not None and row.winner is None:
        between = f" ({NO_DIFFERENCE} between the two shares)"
    return (
        f"To adopt as far as it did, {label_of(results, first)} needed at least "
        f"{percent(shares[0])} of its drift, {label_of(results, second)} at least "
        f"{percent(shares[1])}{between}."
    )


def _cost(results: Results, first: str, second: str) -> list[str]:
    """One sentence on device seconds, where both paths were metered."""
    methods = results.methods
    if not _all_measured(results, COST, first, second):
        return ["Device time was not measured for both methods."]
    found = path_costs(results, (first, second))
    if found is None:
        return []
    dear, cheap, clause = found
    spent = [methods[name].value(COST) or 0.0 for name in (dear, cheap)]
    later = [methods[name].value(COST_AFTER_SFT) or 0.0 for name in (dear, cheap)]
    sentence = f"{clause} ({_seconds(spent)})"
    if later[1] > 0.0 and later != spent:
        return [f"{sentence}; after SFT, which both share, {_seconds(later)}."]
    return [f"{sentence}."]


def _seconds(values: list[float]) -> str:
    return " against ".join(f"{format_value(value, 'seconds')} s" for value in values)


def _alone(results: Results, name: str, *, only: bool) -> str:
    """One method's behaviour, drift and cost without a comparison."""
    method, facts = results.methods[name], []
    path = _evidence(results, name) or ADOPTION
    for metric in (BY_PATH[path], BY_PATH[DRIFT], BY_PATH[COST]):
        cell = _cell(method, metric)
        if cell.measured or applies(results, name, metric):
            unit = _unit(metric) if cell.measured else ""
            facts.append(f"{metric.prose} {cell} {unit}".rstrip())
    lead = f"Only {label_of(results, name)} was run" if only else label_of(results, name)
    return f"{lead}: {'; '.join(facts)}. {_shortfall(results, name, path)}".rstrip()


def _troubles(results: Results) -> list[str]:
    """Failed reward models, failed and collapsed runs: a verdict without them would flatter."""
    against_a_failed_model = overruled(results)
    sentences = [against_a_failed_model] if against_a_failed_model else []
    for name, method in results.methods.items():
        runs = method.runs
        if runs.failed or runs.collapsed:
            sentences.append(
                f"{label_of(results, name)}: {runs.completed} runs completed, {runs.failed} "
                f"failed, {runs.collapsed} collapsed."
            )
    return sentences
