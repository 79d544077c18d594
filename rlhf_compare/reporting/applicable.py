"""Which numbers a method or a task cannot have: they are not missing, so no page says so."""

from rlhf_compare.metrics import METRICS, Metric
from rlhf_compare.reporting.numbers import DOES_NOT_APPLY, Cell, format_value
from rlhf_compare.reporting.recipe_facts import has_prefix_task
from rlhf_compare.reporting.schema import Results


def applies(results: Results, name: str, metric: Metric) -> bool:
    """Whether a method could have a number in this metric's row."""
    if metric.behaviour and not has_prefix_task(results):
        return False
    if name in metric.not_of or metric.logits is (not _has_logits(results, name)):
        return False
    # a method that samples its own responses has no pairs; nor has one that trains no model
    samples = results.methods[name].value("cost.tokens.generated")
    return not (metric.of_pairs and (samples or not _has_logits(results, name)))


def _has_logits(results: Results, name: str) -> bool:
    """A policy that is no single model has a bound of its drift where others have the drift."""
    method = results.methods[name]
    exact, bound = (method.value(f"kl_to_reference.{leaf}") for leaf in ("exact", "bound"))
    return exact is not None or bound is None


def cell(results: Results, name: str, metric: Metric) -> Cell:
    """A method's number, or which kind of nothing stands in its place."""
    found = format_value(results.methods[name].measured(metric.path), metric.style)
    return found if found.measured or applies(results, name, metric) else Cell(DOES_NOT_APPLY)


def has_number(results: Results, metric: Metric) -> bool:
    """Whether any method has a number in this metric's row."""
    return any(cell(results, name, metric).measured for name in results.methods)


def left_out(results: Results) -> tuple[list[Metric], list[Metric]]:
    """The metrics without any number: those that were not measured, those that do not apply."""
    unmeasured: list[Metric] = []
    idle: list[Metric] = []
    for metric in METRICS:
        stands_in = metric.logits is False  # where it has nothing to stand in for, none is missing
        if not stands_in and not has_number(results, metric):
            idle_for_all = not any(applies(results, name, metric) for name in results.methods)
            (idle if idle_for_all else unmeasured).append(metric)
    return unmeasured, idle


def left_out_note(results: Results) -> str:
    """The rows that no table shows, in one line; empty where every metric has a number."""
    unmeasured, idle = left_out(results)
    parts = [
        f"{lead}: {'; '.join(metric.label for metric in metrics)}."
        for lead, metrics in (("Not measured here", unmeasured), ("Does not apply here", idle))
        if metrics
    ]
    return " ".join(parts)
