"""What the page says first: an answer in one sentence, three bullets, and the rest.

A method is called further, lower or higher only where the results hold a comparison whose
interval excludes 0; everything else is reported as two numbers without a winner.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rlhf_compare.metrics import BY_PATH
from rlhf_compare.reporting.answer import absent_methods, answer, few_seeds
from rlhf_compare.reporting.applicable import applies
from rlhf_compare.reporting.comparisons import comparison, contenders, main_pair
from rlhf_compare.reporting.cost_words import COST, cost_sentences
from rlhf_compare.reporting.doctor import overruled
from rlhf_compare.reporting.equal import equal_sentences
from rlhf_compare.reporting.evidence import (
    ADOPTION,
    DRIFT,
    EFFICIENCY,
    all_measured,
    base_rate,
    cell_of,
    evidence,
    margin,
    percent,
    start,
    unit_of,
)
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.numbers import format_value
from rlhf_compare.reporting.preferred import preferred
from rlhf_compare.reporting.schema import NOT_DECIDED, Results
from rlhf_compare.reporting.standing import ended_badly, fault, shortfall

_FEW = {1: "One seed", 2: "Two seeds"}


@dataclass(frozen=True)
class Verdict:
    """The answer; for a pair three bullets, on behaviour, drift and cost; and further sentences."""

    answer: str
    bullets: tuple[str, ...]
    rest: tuple[str, ...]

    def __iter__(self) -> Iterator[str]:
        return iter((self.answer, *self.bullets, *self.rest))

    @property
    def text(self) -> str:
        """As one paragraph."""
        return " ".join(self)


def verdict(results: Results) -> Verdict:
    """Plain text; every sentence of it has a condition in the results."""
    pair = main_pair(results)
    rest = []
    if base_rate(results) is not None:
        p0 = cell_of(results.methods["sft"], BY_PATH[ADOPTION])
        rest.append(f"The SFT model shows the behaviour with probability {p0} (p0).")
    rest += [_alone(results, n) for n in contenders(results) if pair is None or n not in pair]
    rest += [*_troubles(results), *_what_would_decide(results, pair)]
    if pair is None:
        return Verdict(answer(results, pair), (), tuple(rest))
    first, judged = answer(results, pair), preferred(results, pair)
    if judged and not any(fault(results, name, evidence(results, *pair)) for name in pair):
        first, *judged = judged  # what labels alone can say is whose answers are preferred
    return Verdict(first, _bullets(results, *pair, judged), tuple(rest))


def _bullets(
    results: Results, first: str, second: str, judged: Sequence[str]
) -> tuple[str, str, str]:
    """Args:
    judged: sentences of a judge, which the bullet on behaviour begins with.
    """
    pair, path = (first, second), evidence(results, first, second)
    faults = [fault(results, name, path) for name in pair]
    # the higher of two that failed decides nothing, nor does a method that mostly ended badly
    named = not all(faults) and not any(one is not None and one.kind == "failed" for one in faults)
    behaviour = ["How far the behaviour moved was not measured for both methods."]
    drift = ["Drift from the reference was not measured for both methods."]
    if path is not None:
        # where both fell short the answer has said so
        fell = [] if all(faults) else [shortfall(results, name, path) for name in pair]
        behaviour = [*judged, *fell]
        behaviour.append(_compared(results, path, pair, "moved further", named=named))
    if all_measured(results, DRIFT, *pair):
        drift = [_compared(results, DRIFT, pair, "drifted further from SFT", named=named)]
    cost = cost_sentences(results, first, second)
    if not any(faults):
        behaviour += equal_sentences(
            results, pair, ("kl", "adoption"), ("seconds", "adoption"), ("samples", "adoption")
        )
        drift += [_efficiency(results, first, second)]
        drift += equal_sentences(results, pair, ("adoption", "kl"))
        cost += equal_sentences(results, pair, ("adoption", "seconds"))
    return _one(behaviour), _one(drift), _one(cost or ["Device time was 0 for one of the methods."])


def _one(sentences: list[str]) -> str:
    return " ".join(sentence for sentence in sentences if sentence)


def _compared(
    results: Results, path: str, pair: tuple[str, str], wording: str, *, named: bool
) -> str:
    """One sentence about one metric; `wording` is what the method with the higher value did.

    Args:
        named: False = neither is called further.
    """
    metric, methods = BY_PATH[path], results.methods
    unit = f" {unit_of(metric)}" if unit_of(metric) else ""
    cells = {name: str(cell_of(methods[name], metric)) for name in pair}
    both = ", ".join(f"{label_of(results, name)} {cells[name]}" for name in pair) + unit
    row = comparison(results, path, *pair)
    if not named:
        return f"{start(metric)}: {both}."
    if row is None or row.difference is None:
        return (
            f"{start(metric)}: {both}; these results hold no paired difference, so neither is "
            "called higher."
        )
    difference = format_value(row.difference, metric.style)
    between = f"{label_of(results, row.a)} - {label_of(results, row.b)}: {difference}"
    winner = row.winner
    if row.verdict in NOT_DECIDED:
        return f"{start(metric)}: {both} ({between}); {row.verdict}."
    if winner is None:
        why = f"; {margin(row)}" if margin(row) else ""
        return f"No difference shown in {metric.prose}: {both} ({between}{why})."
    loser = pair[1] if winner == pair[0] else pair[0]
    return (
        f"{label_of(results, winner)} {wording}: {metric.prose} {cells[winner]} against "
        f"{cells[loser]}{unit} with {label_of(results, loser)} ({between})."
    )


def _efficiency(results: Results, first: str, second: str) -> str:
    """Two shares side by side invite a winner, so they are printed with their difference alone."""
    shares = [results.methods[name].value(EFFICIENCY) for name in (first, second)]
    row = comparison(results, EFFICIENCY, first, second)
    if shares[0] is None or shares[1] is None or row is None or row.difference is None:
        return ""
    if max(shares[0], shares[1]) > 1.0:
        return ""  # above 1 is noise or a fault, and the caveats say so
    a, b = label_of(results, row.a), label_of(results, row.b)
    why = f"; {margin(row)}" if margin(row) else ""
    outcome = f"{label_of(results, row.winner)} higher" if row.winner else f"{row.verdict}{why}"
    return (
        f"The behaviour itself required at least {percent(shares[0])} of "
        f"{label_of(results, first)}'s drift and {percent(shares[1])} of "
        f"{label_of(results, second)}'s "
        f"({a} - {b}: {format_value(row.difference, 'share')}; {outcome})."
    )


def _alone(results: Results, name: str) -> str:
    """One method's behaviour, drift and cost without a comparison."""
    method, facts = results.methods[name], []
    path = evidence(results, name) or ADOPTION
    for metric in (BY_PATH[path], BY_PATH[DRIFT], BY_PATH[COST]):
        cell = cell_of(method, metric)
        if cell.measured or applies(results, name, metric):
            unit = unit_of(metric) if cell.measured else ""
            facts.append(f"{metric.prose} {cell} {unit}".rstrip())
    text = f"{label_of(results, name)}: {'; '.join(facts)}."
    return f"{text} {shortfall(results, name, path)}".rstrip()


def _troubles(results: Results) -> list[str]:
    """Failed reward models, failed and collapsed runs: a verdict without them would flatter."""
    against_a_failed_model = overruled(results)
    sentences = [against_a_failed_model] if against_a_failed_model else []
    for name, method in results.methods.items():
        if ended_badly(results, name):
            runs = method.runs
            sentences.append(
                f"{label_of(results, name)}: {runs.completed} runs completed, {runs.failed} "
                f"failed, {runs.collapsed} collapsed; its differences are over the seeds that it "
                "shares with the other method."
            )
    for name in absent_methods(results):
        sentences.append(f"{label_of(results, name)} failed under every seed and has no column.")
    return sentences


def _what_would_decide(results: Results, pair: tuple[str, str] | None) -> list[str]:
    """The command with more seeds, where there are too few for a verdict."""
    seeds = results.provenance.seeds
    few = len(seeds) if pair is None else few_seeds(results, pair, evidence(results, *pair))
    if not contenders(results) or (few not in _FEW and len(seeds) > 1):
        return []
    lead = _FEW.get(few or len(seeds), "One seed")
    name, more = results.recipe.name, _enough(seeds)
    return [
        f"{lead}: a direction, no verdict. What would decide: rlhf-compare compare --recipe "
        f'{name} --seeds "{more}".'
    ]


def _enough(seeds: list[int]) -> str:
    """The seeds that there are, which cost nothing again, and others up to three."""
    others = (seed for seed in range(len(seeds) + 3) if seed not in seeds)
    chosen = [*seeds, *others][: max(3, len(seeds) + 1)]
    return " ".join(map(str, sorted(chosen)))
