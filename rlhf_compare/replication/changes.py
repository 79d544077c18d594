"""Numbers of the first seeds less those of fresh ones, and who is higher by each."""

from collections.abc import Sequence

from rlhf_compare.metrics import BY_PATH, METRICS, Metric
from rlhf_compare.replication.intervals import LEAST_SEEDS, half_width, p_value, welch
from rlhf_compare.replication.results import Answer, Change, Difference, Kind, Outcome
from rlhf_compare.reporting.comparisons import comparison, contenders, main_pair, oriented
from rlhf_compare.reporting.equal_schema import Equal
from rlhf_compare.reporting.evidence import unit_of
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.method_schema import Estimate
from rlhf_compare.reporting.numbers import format_value
from rlhf_compare.reporting.recipe_facts import has_prefix_task
from rlhf_compare.reporting.schema import NOT_DECIDED, Comparison, Results, WinRate
from rlhf_compare.reporting.win_rates import win_rate

_WIN_RATE = "win_rate_vs_sft"
_SHARE = BY_PATH[_WIN_RATE]
_QUANTITIES = {"adoption": "adoption", "kl": "KL", "seconds": "seconds", "samples": "samples"}


def headlines(results: Results) -> list[Metric]:
    """The metrics that a comparison of this task is made for."""
    judged = not has_prefix_task(results)
    return [m for m in METRICS if m.headline or (judged and (m.judged or m.path == _WIN_RATE))]


def changes_of(before: Results, fresh: Results) -> list[Change]:
    """Of every method that both files hold, then of the pair that was asked about."""
    rows = []
    for name in contenders(before):
        if name not in fresh.methods:
            continue
        for metric in headlines(before):
            numbers = [one.methods[name].estimate(metric.path) for one in (before, fresh)]
            rows += _change(label_of(before, name), [name], metric.prose, metric, numbers)
    return [*rows, *_of_the_pair(before, fresh)]


def shared_pair(before: Results, fresh: Results) -> tuple[str, str] | None:
    """The pair that was asked about, where both files hold it."""
    pair = main_pair(before)
    return pair if pair is not None and all(name in fresh.methods for name in pair) else None


def _of_the_pair(before: Results, fresh: Results) -> list[Change]:
    pair, rows = shared_pair(before, fresh), list[Change]()
    if pair is None:
        return rows
    first, second = (label_of(before, name) for name in pair)
    for metric in headlines(before):
        numbers = [_difference(one, metric.path, pair) for one in (before, fresh)]
        rows += _change(f"{first} - {second}", list(pair), metric.prose, metric, numbers)
    rate = None if has_prefix_task(before) else win_rate(before, *pair)
    if rate is not None:
        again = win_rate(fresh, *pair, rate.judge)
        numbers = [rate.share, None if again is None else again.share]
        rows += _change(f"{first} against {second}", list(pair), "win rate", _SHARE, numbers)
    return rows


def _difference(results: Results, path: str, pair: tuple[str, str]) -> Estimate | None:
    row = comparison(results, path, *pair)
    return None if row is None else oriented(row, pair[0]).difference


def _change(
    of: str, methods: list[str], what: str, metric: Metric, numbers: Sequence[Estimate | None]
) -> list[Change]:
    """One row, or none where a side did not measure it."""
    before, fresh = numbers
    if before is None or fresh is None:
        return []
    unit = unit_of(metric)
    difference, kind, verdict = _compared(before, fresh, metric)
    return [
        Change(
            of=of,
            methods=methods,
            what=what,
            unit=unit,
            style=metric.style,
            before=before,
            fresh=fresh,
            difference=difference,
            kind=kind,
            verdict=verdict,
        )
    ]


def _compared(before: Estimate, fresh: Estimate, metric: Metric) -> tuple[Difference, Kind, str]:
    distance = before.mean - fresh.mean
    none = Difference(mean=distance, low=None, high=None, p_value=None)
    sides = [[value for value in one.by_seed if value is not None] for one in (before, fresh)]
    if min(map(len, sides)) < min(LEAST_SEEDS, before.seeds, fresh.seeds):
        return none, "not decided", "not decided: the numbers of the seeds were not kept"
    if min(map(len, sides)) < LEAST_SEEDS:
        return none, "not decided", "not decided: fewer than three seeds on a side"
    found = welch(*sides)
    if found is None and distance == 0.0:
        return none, "no difference", "replicates: the same in every seed"
    if found is None:
        why = "no seed differs from another on either side, so their luck has no measure"
        return none, "not decided", f"not decided: {why}"
    half = half_width(*found)
    difference = Difference(
        mean=distance, low=distance - half, high=distance + half, p_value=p_value(distance, *found)
    )
    if abs(distance) <= half:
        return difference, "no difference", f"replicates: {excluded(difference, metric)}"
    way = "lower" if distance > 0 else "higher"
    return difference, "differs", f"does not replicate: {way} under the fresh seeds"


def excluded(difference: Difference, metric: Metric) -> str:
    """``no difference shown, more than 0.02 excluded``."""
    most = max(map(abs, difference.interval or (0.0, 0.0)))
    return f"no difference shown, more than {format_value(most, metric.style)} excluded"


def answers_of(before: Results, fresh: Results) -> list[Answer]:
    """Who of the pair is higher in each headline metric, and at equal things, by each file."""
    pair = shared_pair(before, fresh)
    if pair is None:
        return []
    found = []
    for metric in headlines(before):
        rows = [comparison(one, metric.path, *pair) for one in (before, fresh)]
        found += _answer(metric.prose, (before, fresh), rows, "higher")
    rate = None if has_prefix_task(before) else win_rate(before, *pair)
    if rate is not None:
        again = win_rate(fresh, *pair, rate.judge)
        found += _answer("answers", (before, fresh), [rate, again], "preferred")
    for row in before.equal:
        if {row.a, row.b} == set(pair):
            what = f"{_QUANTITIES[row.quantity]} at equal {_QUANTITIES[row.at]}"
            found += _answer(what, (before, fresh), [row, _like(row, fresh)], "higher")
    return found


def _like(row: Equal, results: Results) -> Equal | None:
    """The same comparison of other results, at whatever level they were equal."""
    for other in results.equal:
        if (other.at, other.quantity) == (row.at, row.quantity) and {other.a, other.b} == {
            row.a,
            row.b,
        }:
            return other
    return None


def _answer(
    what: str,
    sides: tuple[Results, Results],
    rows: Sequence[Comparison | WinRate | Equal | None],
    word: str,
) -> list[Answer]:
    """One row, or none where a side does not compare it."""
    one, other = rows
    if one is None or other is None:
        return []
    said = [
        row.verdict if row.winner is None else f"{label_of(results, row.winner)} {word}"
        for results, row in zip(sides, (one, other), strict=True)
    ]
    return [Answer(what=what, before=said[0], fresh=said[1], outcome=_outcome(one, other))]


def _outcome(before: Comparison | WinRate | Equal, fresh: Comparison | WinRate | Equal) -> Outcome:
    if {before.verdict, fresh.verdict} & set(NOT_DECIDED):
        return "not decided"
    if before.winner == fresh.winner:
        return "same"
    if before.winner is None:
        return "newly shown"
    return "not shown again" if fresh.winner is None else "reversed"
