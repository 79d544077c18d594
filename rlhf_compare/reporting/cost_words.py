"""Device seconds of two paths, in words."""

from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.schema import Results

COST = "cost.device_seconds.path_total"
COST_AFTER_SFT = "cost.device_seconds.after_sft"


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
        return dear, cheap, f"The paths to {both} took about equal device seconds"
    return (
        dear,
        cheap,
        (
            f"The path to {label_of(results, dear)} took {ratio} the device seconds of the path to "
            f"{label_of(results, cheap)}"
        ),
    )
