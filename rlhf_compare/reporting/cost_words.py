"""Device seconds of two paths, in words: seconds that the device was held, idle gaps included."""

import math

import numpy as np

from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.numbers import format_value
from rlhf_compare.reporting.schema import Results

COST = "cost.device_seconds.path_total"
COST_AFTER_SFT = "cost.device_seconds.after_sft"
_LEAST_SEEDS, _LEVEL = 3, 0.05


def times(numerator: float, denominator: float) -> str:
    """A ratio of at least 1 as '3.2 times'."""
    ratio = numerator / denominator
    return f"{ratio:,.0f} times" if ratio >= 100 else f"{ratio:.1f} times"


def path_costs(results: Results, pair: tuple[str, str]) -> tuple[str, str, str] | None:
    """The dearer path, the cheaper one, and a clause on the two, without a full stop; None where
    either was not measured or is 0."""
    seconds = {name: results.methods[name].value(COST) or 0.0 for name in pair}
    dear, cheap = sorted(pair, key=lambda name: -seconds[name])
    if seconds[cheap] <= 0.0:
        return None
    ratio = times(seconds[dear], seconds[cheap])
    if ratio == "1.0 times":
        both = " and ".join(label_of(results, name) for name in (dear, cheap))
        return dear, cheap, f"The paths to {both} held the device about equally long"
    return (
        dear,
        cheap,
        (
            f"The path to {label_of(results, dear)} held the device {ratio} as long as the path to "
            f"{label_of(results, cheap)}"
        ),
    )


def cheaper(results: Results, pair: tuple[str, str]) -> str | None:
    """The method whose path is shown to hold the device for less time; None where that is not
    shown, for fewer than three seeds too.

    Welch's t-test on the logarithms of the seeds' seconds, so that a ratio is what is tested.
    """
    seconds = [seconds_by_seed(results, name) for name in pair]
    if any(len(each) < _LEAST_SEEDS or min(each) <= 0.0 for each in seconds):
        return None
    first, second = (np.log(each) for each in seconds)
    gap = float(first.mean() - second.mean())
    if math.isclose(gap, 0.0, abs_tol=1e-12):
        return None
    from scipy.stats import ttest_ind  # here, for it takes a second to load

    constant = first.std() == 0.0 and second.std() == 0.0
    if not constant and ttest_ind(first, second, equal_var=False).pvalue > _LEVEL:
        return None
    return pair[0] if gap < 0.0 else pair[1]


def seconds_by_seed(results: Results, name: str) -> list[float]:
    """Of the whole path; empty where the seeds were not kept apart."""
    spent = results.methods[name].cost.device_seconds
    return [] if spent is None else spent.by_seed()


def spread(results: Results, name: str) -> str:
    """'99.0 s, 97.1 to 101.3 over 5 seeds'; the mean alone where there is one seed."""
    mean = f"{format_value(results.methods[name].value(COST), 'seconds')} s"
    found = seconds_by_seed(results, name)
    if len(found) < 2:
        return mean
    low, high = (format_value(edge(found), "seconds") for edge in (min, max))
    return f"{mean}, {low} to {high} over {len(found)} seeds"


def cost_sentences(results: Results, first: str, second: str) -> list[str]:
    """One sentence on device seconds, where both paths were metered."""
    methods = results.methods
    if any(methods[name].measured(COST) is None for name in (first, second)):
        return ["Device time was not measured for both methods."]
    found = path_costs(results, (first, second))
    if found is None:
        return []
    dear, cheap, clause = found
    spent = [methods[name].value(COST) or 0.0 for name in (dear, cheap)]
    later = [methods[name].value(COST_AFTER_SFT) or 0.0 for name in (dear, cheap)]
    varied = any(len(seconds_by_seed(results, name)) > 1 for name in (dear, cheap))
    glue = ", against " if varied else " against "
    sentence = f"{clause} ({glue.join(spread(results, name) for name in (dear, cheap))})"
    runs = min(len(seconds_by_seed(results, name)) for name in (dear, cheap))
    if runs >= _LEAST_SEEDS and cheaper(results, (first, second)) is None:
        sentence = f"{sentence}, not beyond the spread of the seeds"
    if later[1] > 0.0 and later != spent:
        words = " against ".join(f"{format_value(value, 'seconds')} s" for value in later)
        return [f"{sentence}; after SFT, which both share, {words}."]
    return [f"{sentence}."]
