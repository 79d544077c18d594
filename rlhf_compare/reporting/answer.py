"""The first sentence of the page: which method, at what price, or that it depends and on what.

A method is preferred only by findings that these runs show: a headline difference after Holm's
adjustment, a difference at equal things, a path that held the device for less time beyond the
spread of its seeds. A method that failed, collapsed or did not learn is called so and never
preferred. Below three seeds there is a direction and no verdict.
"""

from typing import NamedTuple

from rlhf_compare.metrics import BY_PATH
from rlhf_compare.reporting.comparisons import comparison, contenders
from rlhf_compare.reporting.cost_words import COST, cheaper, path_costs, seconds_by_seed
from rlhf_compare.reporting.equal import equal_row
from rlhf_compare.reporting.evidence import (
    DRIFT,
    all_measured,
    evidence,
    margin,
    mean_of,
    numbers,
    unit_of,
    verb,
)
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.recipe_facts import variant
from rlhf_compare.reporting.schema import NOT_DECIDED, Results
from rlhf_compare.reporting.standing import ended_badly, fault

LEAST_SEEDS = 3
_COUNTS = {1: "one seed", 2: "two seeds"}


class Finding(NamedTuple):
    """One thing that speaks for one of the two; words follow the method's name."""

    favours: str
    words: str


def answer(results: Results, pair: tuple[str, str] | None) -> str:
    """One sentence, with a full stop."""
    absent = absent_methods(results)
    if absent and (pair is None or any(variant(results, name) for name in pair)):
        names = [label_of(results, name) for name in absent]
        return f"No comparison: {_listed(names)} failed under every seed."
    if pair is None:
        names = contenders(results)
        if not names:
            return "No preference learning was run, so there is nothing to compare yet."
        return (
            f"Only {label_of(results, names[0])} was run, so there is nothing to compare it with."
        )
    path = evidence(results, *pair)
    faults = {name: fault(results, name, path) for name in pair}
    if any(faults.values()):
        return _by_level(results, pair, path)
    return _by_difference(results, pair, path)


def absent_methods(results: Results) -> list[str]:
    """Methods that failed under every seed and are no variants."""
    failed = dict.fromkeys(failure.method for failure in results.failures)
    return [n for n in failed if n not in results.methods and not variant(results, n)]


def few_seeds(results: Results, pair: tuple[str, str], path: str | None) -> int | None:
    """How many seeds the pair's comparison rests on, where they are too few for a verdict."""
    for metric in (path, DRIFT):
        row = None if metric is None else comparison(results, metric, *pair)
        if row is not None and row.difference is not None:
            if row.verdict in NOT_DECIDED:
                return NOT_DECIDED.index(row.verdict) + 1
            return row.difference.seeds if row.difference.seeds < LEAST_SEEDS else None
    return None


# --- where one of them failed, or both did


def _by_level(results: Results, pair: tuple[str, str], path: str | None) -> str:
    faults = {name: found for name in pair if (found := fault(results, name, path)) is not None}
    few = few_seeds(results, pair, path)
    lead = f"A direction, no verdict ({_COUNTS[few]}): " if few in _COUNTS else ""
    if len(faults) == 1:
        ((loser, found),) = faults.items()
        winner = pair[1] if loser == pair[0] else pair[0]
        reached = ""
        if path is not None:
            reached = f" ({BY_PATH[path].prose} {mean_of(results, winner, path)})"
        text = f"Only {label_of(results, winner)} can be recommended{reached}: "
        return _led(
            lead, f"{text}{label_of(results, loser)} {found.words}{_aside(results, (winner,))}."
        )
    kinds = {found.kind for found in faults.values()}
    first, second = (label_of(results, name) for name in pair)
    if kinds <= {"not learned", "not shown", "at rest"} and path is not None:
        if kinds == {"at rest"}:
            done = "moved from the SFT model"
        else:
            done = f"is shown to have {verb(path)}" if "not shown" in kinds else verb(path)
        shown = numbers(results, path, (*pair, "sft"))
        return _led(lead, f"Neither {first} nor {second} {done}: {shown}.")
    words = ", ".join(f"{label_of(results, name)} {found.words}" for name, found in faults.items())
    return _led(lead, f"Neither {first} nor {second} can be recommended: {words}.")


def _led(lead: str, sentence: str) -> str:
    return f"{lead}{sentence[0].lower()}{sentence[1:]}" if lead else sentence


def _aside(results: Results, names: tuple[str, ...]) -> str:
    """What ended badly although the method as a whole did not."""
    parts = [(name, ended_badly(results, name)) for name in names]
    return "".join(f"; {label_of(results, name)} {words}" for name, words in parts if words)


# --- where both are sound


def _by_difference(results: Results, pair: tuple[str, str], path: str | None) -> str:
    rows = [comparison(results, metric, *pair) for metric in (path, DRIFT) if metric]
    first, second = (label_of(results, name) for name in pair)
    if all(row is None or row.difference is None for row in rows):
        return (
            f"No verdict: these results hold no paired difference between {first} and {second}, "
            f"which {'share no seed' if share_no_seed(results, pair) else 'were not compared'}"
            f"{_aside(results, pair)}."
        )
    few = few_seeds(results, pair, path)
    if few is not None:
        return _direction(results, pair, path, _COUNTS[few])
    ends, equal = end_findings(results, pair, path), equal_findings(results, pair)
    favoured = {found.favours for found in (*ends, *equal)}
    undecided = _undecided(results, pair, path)
    if not favoured:
        return (
            f"No difference shown between {first} and {second}: {undecided}{_aside(results, pair)}."
        )
    lead = "" if len(favoured) == 1 else "It depends: "
    parts = [_joined(results, name, ends) for name in pair if any(f.favours == name for f in ends)]
    if equal:
        parts.append(_at_equal_things(results, pair, equal, only=len(favoured) == 1 and bool(ends)))
    if undecided:
        parts.append(f"no difference shown in {undecided}")
    return f"{lead}{'; '.join(parts)}{_aside(results, pair)}."


def share_no_seed(results: Results, pair: tuple[str, str]) -> bool:
    """Whether the training runs show that no seed ended well for both."""
    first, second = ({run.seed for run in results.methods[name].training} for name in pair)
    return bool(first and second and not first & second)


def end_findings(results: Results, pair: tuple[str, str], path: str | None) -> list[Finding]:
    """What the ends of the runs show of behaviour, drift and cost, in this order."""
    found = []
    for metric, words in ((path, _further(path)), (DRIFT, "drifts less")):
        row = None if metric is None else comparison(results, metric, *pair)
        if metric is None or row is None or row.winner is None:
            continue
        loser = row.b if row.winner == row.a else row.a
        better, worse = (row.winner, loser)
        if BY_PATH[metric].better == "lower":
            better, worse = worse, better
        cells = f"{mean_of(results, better, metric)} against {mean_of(results, worse, metric)}"
        unit = f" {unit_of(BY_PATH[metric])}" if unit_of(BY_PATH[metric]) else ""
        found.append(Finding(better, f"{words} ({cells}{unit})"))
    cheap, costs = cheaper(results, pair), path_costs(results, pair)
    if cheap is not None and costs is not None:
        dear = pair[1] if cheap == pair[0] else pair[0]
        spent = [results.methods[name].value(COST) or 0.0 for name in (dear, cheap)]
        if cheap == costs[1]:
            cells = f"{mean_of(results, cheap, COST)} against {mean_of(results, dear, COST)} s"
            share = f"{100 * spent[1] / spent[0]:.0f} %" if spent[0] else "less"
            found.append(Finding(cheap, f"takes {share} of the other's device time ({cells})"))
    return found


def _further(path: str | None) -> str:
    if path is None or path.startswith("adoption."):
        return "adopts further"
    return f"reaches the {'lower' if BY_PATH[path].better == 'lower' else 'higher'} " + (
        BY_PATH[path].prose
    )


_EQUAL = (
    ("adoption", "kl", "lower", "at equal adoption by drift"),
    ("adoption", "seconds", "lower", "at equal adoption by time"),
    ("kl", "adoption", "higher", "at equal KL"),
    ("seconds", "adoption", "higher", "at equal seconds"),
    ("samples", "adoption", "higher", "at equal samples of their own stage"),
)


def equal_findings(results: Results, pair: tuple[str, str]) -> list[Finding]:
    """What the rows at equal things show."""
    found = []
    for at, quantity, better, words in _EQUAL:
        row = equal_row(results, at, quantity, pair)
        if row is None or row.winner is None:
            continue
        loser = row.b if row.winner == row.a else row.a
        found.append(Finding(row.winner if better == "higher" else loser, words))
    return found


def _joined(results: Results, name: str, findings: list[Finding]) -> str:
    words = [found.words for found in findings if found.favours == name]
    return f"{label_of(results, name)} {_listed(words)}"


def _listed(words: list[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _at_equal_things(
    results: Results, pair: tuple[str, str], equal: list[Finding], *, only: bool
) -> str:
    """'ahead: PPO at equal KL, DPO at equal seconds'."""
    places = {name: [f.words for f in equal if f.favours == name] for name in pair}
    if only:
        return f"also {_listed([found.words for found in equal])}"
    ahead = [
        f"{label_of(results, name)} {_listed(words)}" for name, words in places.items() if words
    ]
    return "ahead: " + ", ".join(ahead)


def _undecided(results: Results, pair: tuple[str, str], path: str | None) -> str:
    """Headline metrics in which no difference was shown, with what the data exclude."""
    parts = []
    for metric in (path, DRIFT):
        row = None if metric is None else comparison(results, metric, *pair)
        if metric is not None and row is not None and row.winner is None:
            why = f" ({margin(row)})" if margin(row) else ""
            parts.append(f"{BY_PATH[metric].prose}{why}")
    if cheaper(results, pair) is None and all(seconds_by_seed(results, name) for name in pair):
        parts.append("device time")
    return _listed(parts) if parts else ""


def _direction(results: Results, pair: tuple[str, str], path: str | None, seeds: str) -> str:
    """Below three seeds: whose numbers are better, and that this decides nothing."""
    parts = []
    for metric in (path, DRIFT, COST):
        if metric is None or not all_measured(results, metric, *pair):
            continue
        facts = BY_PATH[metric]
        values = {name: results.methods[name].value(metric) or 0.0 for name in pair}
        wanted = min if facts.better == "lower" else max
        better = wanted(pair, key=values.__getitem__)
        worse = pair[1] if better == pair[0] else pair[0]
        cells = [mean_of(results, name, metric) for name in (better, worse)]
        if cells[0] == cells[1]:
            parts.append(f"equal {facts.prose} ({cells[0]})")
            continue
        which = "lower" if facts.better == "lower" else "higher"
        unit = f" {unit_of(facts)}" if unit_of(facts) else ""
        parts.append(
            f"{label_of(results, better)} has the {which} {facts.prose} "
            f"({cells[0]} against {cells[1]}{unit})"
        )
    return f"A direction, no verdict ({seeds}): {', '.join(parts)}{_aside(results, pair)}."
