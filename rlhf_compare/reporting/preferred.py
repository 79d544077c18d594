"""Sentences on a task without a behaviour to look for: whose answers are better, by which judge,
and whether that judge agrees with people."""

from rlhf_compare.metrics import BY_PATH
from rlhf_compare.reporting.comparisons import SFT, comparison, oriented
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.numbers import format_value
from rlhf_compare.reporting.recipe_facts import has_prefix_task
from rlhf_compare.reporting.schema import NOT_DECIDED, Results, WinRate
from rlhf_compare.reporting.standing import at_least_half_ended_badly, ended_badly
from rlhf_compare.reporting.win_rates import judge_of, judge_words, ties_of, win_rate

_ACCURACY, _JUDGE, _ENDPOINT = "preference.accuracy", "reward.held_out", "endpoint"


def preferred(results: Results, pair: tuple[str, str]) -> list[str]:
    """Most important first; none where the task has a behaviour, which speaks for itself."""
    if has_prefix_task(results):
        return []
    rate = win_rate(results, *pair)
    if rate is None and all(results.methods[name].measured(_JUDGE) for name in pair):
        return []  # results of an older version, whose judge scored and compared nothing
    if rate is None:
        one, other = (_whose(results, name) for name in pair)
        first = (
            f"Whether {one} or {other} answers are better was not judged: no "
            "judge was asked that no policy was trained against."
        )
        return [first, *_labelled(results, pair)]
    against = _against_sft(results, pair)
    said = [_between(results, rate), _trust(results, rate.judge), *_second_opinion(results, rate)]
    # level before difference
    neither = all(_may_be_no_better_than_sft(results, name, rate.judge) for name in pair)
    said = [*against, *said] if neither else [*said, *against]
    return [*said, *_labelled(results, pair)]


def _between(results: Results, rate: WinRate) -> str:
    first, second, winner = _whose(results, rate.a), _whose(results, rate.b), rate.winner
    if rate.verdict in NOT_DECIDED:
        return f"{first} answers win {_numbers(rate, second)}; {rate.verdict}."
    if winner is None:
        return (
            f"No difference shown between {first} and {second} answers: {first} win "
            f"{_numbers(rate)}{_margin(rate)}."
        )
    loser = rate.b if winner == rate.a else rate.a
    rate = win_rate(results, winner, loser, rate.judge) or rate
    better, worse = _whose(results, winner), _whose(results, loser)
    said = f"{better} answers are preferred to {worse} in {_numbers(rate)}"
    if at_least_half_ended_badly(results, winner):  # what a judge likes in a broken policy
        name, end = label_of(results, winner), ended_badly(results, winner)
        return f"{said}, but {name} {end}: no verdict."
    if not _is_better_than_guessing(results, rate.judge):
        return f"{said} by a judge that is not shown to know better than a guess: no verdict."
    if _may_be_no_better_than_sft(results, winner, rate.judge):
        return f"{said}, but are not shown to be better than SFT's."
    return f"{said}."


def _whose(results: Results, name: str) -> str:
    return f"{label_of(results, name)}'s"


def _numbers(rate: WinRate, against: str = "") -> str:
    ties = "" if rate.ties is None else f", ties {ties_of(rate.ties)}"
    other = f" with {against}" if against else ""
    return f"{format_value(rate.share, 'share')} of comparisons{other}{ties}"


def _margin(rate: WinRate) -> str:
    low, high = rate.share.interval or (0.0, 1.0)
    if not low <= 0.5 <= high and rate.p_adjusted is not None:
        return f" (p = {rate.p_adjusted:.2g} after Holm's adjustment)"
    if rate.excluded is None:
        return ""
    return f" (more than {format_value(rate.excluded, 'share')} away from a draw is excluded)"


def _is_better_than_guessing(results: Results, judge: str) -> bool:
    found = judge_of(results, judge)
    accuracy = None if found is None else found.accuracy
    return accuracy is not None and accuracy.low is not None and accuracy.low > 0.5


def _may_be_no_better_than_sft(results: Results, name: str, judge: str) -> bool:
    rate = win_rate(results, name, SFT, judge)
    return rate is not None and rate.share.low is not None and rate.share.low <= 0.5


def _trust(results: Results, judge: str) -> str:
    """What the judge is, and how far it agrees with people."""
    found = judge_of(results, judge)
    who = f"The judge, a {judge_words(results, judge)}"
    if judge == _ENDPOINT:
        who = f"The judge, {judge_words(results, judge)}"
    if found is None or found.accuracy is None:
        return f"{who}: how far it agrees with the labels was not measured."
    share = f"{format_value(found.accuracy, 'share')} of held-out labelled pairs"
    if _is_better_than_guessing(results, judge):
        return f"{who}, orders {share} as the labels do."
    return f"{who}, is not shown to beat guessing: it orders {share} as the labels do."


def _second_opinion(results: Results, first: WinRate) -> list[str]:
    """Of an endpoint, where a reward model speaks first."""
    rate = win_rate(results, first.a, first.b, _ENDPOINT)
    if rate is None or first.judge == _ENDPOINT:
        return []
    found = judge_of(results, _ENDPOINT)
    agrees = ""
    if found is not None and found.accuracy is not None:
        share = format_value(found.accuracy, "share")
        agrees = f", which orders {share} of labelled pairs as the labels do"
    said = _between(results, rate)
    if said.startswith("No "):
        said = said.replace("No", "no", 1)
    return [f"By {judge_words(results, _ENDPOINT)}{agrees}, {said}"]


def _against_sft(results: Results, pair: tuple[str, str]) -> list[str]:
    rates = [rate for name in pair if (rate := win_rate(results, name, SFT)) is not None]
    if not rates:
        return []
    won = [f"{_whose(results, rate.a)} win {format_value(rate.share, 'share')}" for rate in rates]
    numbers = f"of comparisons with SFT's answers, {' and '.join(won)}."
    if all(_may_be_no_better_than_sft(results, rate.a, rate.judge) for rate in rates):
        neither = f"neither {_whose(results, pair[0])} nor {_whose(results, pair[1])} answers are"
        if len(rates) == 1:
            neither = f"{_whose(results, rates[0].a)} answers are not"
        return [f"{_start(neither)} shown to be preferred to SFT's: {numbers}"]
    return [_start(numbers)]


def _start(text: str) -> str:
    return text[0].upper() + text[1:]


def _labelled(results: Results, pair: tuple[str, str]) -> list[str]:
    """How the policies' own log-ratios order what people ranked."""
    methods = results.methods
    cells = [
        f"{format_value(accuracy, 'share')} with {label_of(results, name)}"
        for name in pair
        if (accuracy := methods[name].measured(_ACCURACY)) is not None
    ]
    if not cells:
        return []
    row = comparison(results, _ACCURACY, *pair)
    between = ""
    if row is not None and row.difference is not None:
        row = oriented(row, pair[0])
        verdict = f"{label_of(results, row.winner)} higher" if row.winner else row.verdict
        value = format_value(row.difference, BY_PATH[_ACCURACY].style)
        between = f" ({label_of(results, row.a)} - {label_of(results, row.b)}: {value}; {verdict})"
    share = " and ".join(cells)
    return [
        f"Of held-out labelled pairs, the policy's own log-ratios to SFT put the preferred "
        f"response first in {share}{between}."
    ]
