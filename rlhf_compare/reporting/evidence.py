"""The numbers that the verdict speaks of, and how they read in a sentence."""

from rlhf_compare.metrics import BY_PATH, Metric
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.method_schema import MethodResult
from rlhf_compare.reporting.numbers import Cell, format_value
from rlhf_compare.reporting.schema import Comparison, Results

ADOPTION, DRIFT = "adoption.exact", "kl_to_reference.exact"
EFFICIENCY = "kl_to_reference.efficiency"
# what "the behaviour" is, best evidence first; a preference recipe may measure no adoption
_BEHAVIOUR = (
    ADOPTION,
    "adoption.sampled",
    "adoption.greedy",
    "reward.held_out",
    "win_rate_vs_sft",
)


def base_rate(results: Results) -> float | None:
    """p0: how probable the behaviour is before any preference learning."""
    sft = results.methods.get("sft")
    return None if sft is None else sft.value(ADOPTION)


def percent(share: float) -> str:
    """0.5 as '50 %'."""
    return f"{100 * share:.0f} %"


def evidence(results: Results, *names: str) -> str | None:
    """The best measure of the behaviour that all of these methods have."""
    return next((path for path in _BEHAVIOUR if all_measured(results, path, *names)), None)


def all_measured(results: Results, path: str, *names: str) -> bool:
    return all(results.methods[name].measured(path) is not None for name in names)


def cell_of(method: MethodResult, metric: Metric) -> Cell:
    return format_value(method.measured(metric.path), metric.style)


def mean_of(results: Results, name: str, path: str) -> str:
    """A method's mean without its interval."""
    return cell_of(results.methods[name], BY_PATH[path]).mean


def verb(path: str) -> str:
    """What a method that reached something in this metric has done."""
    if path.startswith("adoption."):
        return "learned the behaviour"
    return f"raised the {BY_PATH[path].prose} above SFT's"


def numbers(results: Results, path: str, names: tuple[str, ...]) -> str:
    """The methods' numbers in one metric, with intervals."""
    metric, methods = BY_PATH[path], results.methods
    cells = [f"{label_of(results, n)} {cell_of(methods[n], metric)}" for n in names if n in methods]
    lead = f"{metric.prose} of " if path != DRIFT else ""
    unit = f" {unit_of(metric)}" if unit_of(metric) else ""
    p0 = " (p0)" if path == ADOPTION and "sft" in names and "sft" in methods else ""
    return f"{lead}{', '.join(cells)}{unit}{p0}"


def start(metric: Metric) -> str:
    """The metric's name at the start of a sentence."""
    return metric.prose[0].upper() + metric.prose[1:]


def unit_of(metric: Metric) -> str:
    """The unit in words, empty for shares and probabilities, which their names announce."""
    return "" if metric.style == "share" else metric.unit.replace("/", " per ")


def margin(row: Comparison) -> str:
    """How large an unseen difference may still be, or why an interval without 0 shows none."""
    if row.difference is None or row.difference.interval is None or row.excluded is None:
        return ""
    low, high = row.difference.interval
    if not low <= 0.0 <= high and row.p_adjusted is not None:
        return f"p = {row.p_adjusted:.2g} after Holm's adjustment"
    metric = BY_PATH[row.metric]
    return f"more than {format_value(row.excluded, metric.style)} is excluded"
