"""Whether a method can be recommended at all, before it is compared with another one."""

from typing import NamedTuple

from rlhf_compare.reporting.evidence import ADOPTION, DRIFT, mean_of, numbers, verb
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.levels import level
from rlhf_compare.reporting.schema import Results

AT_REST = 0.01  # nats per response: a KL no larger than this is that of the reference
NOT_LEARNED = ("not learned", "not shown")


class Fault(NamedTuple):
    """Why a method is no winner. kind: failed, at rest, not learned, not shown; words: what
    follows the method's name."""

    kind: str
    words: str


def fault(results: Results, name: str, path: str | None) -> Fault | None:
    """Why a method cannot win, by the level that it reached; None where nothing is known against
    it.

    Args:
        path: the metric of the behaviour; None = it was not measured.
    """
    if at_least_half_ended_badly(results, name):
        return Fault("failed", ended_badly(results, name))
    found = "unknown" if path is None else level(results, name, path)
    if found not in NOT_LEARNED:
        return None
    assert path is not None, "without a metric the level is unknown"
    if found == "not learned" and at_rest(results, name):
        kl = mean_of(results, name, DRIFT)
        return Fault("at rest", f"did not move from the SFT model (exact KL {kl} nats)")
    start = f" against {mean_of(results, 'sft', path)} before" if "sft" in results.methods else ""
    reached = f"({mean_of(results, name, path)}{start})"
    if found == "not shown":
        return Fault("not shown", f"is not shown to have {verb(path)} {reached}")
    return Fault("not learned", f"did not {_infinitive(path)} {reached}")


def shortfall(results: Results, name: str, path: str) -> str:
    """A sentence where a method did not learn the behaviour; empty where it did or is unknown."""
    found = level(results, name, path)
    if found not in NOT_LEARNED:
        return ""
    shown = numbers(results, path, (name, "sft"))
    if found == "not shown":
        return f"{label_of(results, name)} is not shown to have {verb(path)}: {shown}."
    if at_rest(results, name):
        return f"{label_of(results, name)} did not move from the SFT model: {shown}."
    return f"{label_of(results, name)} did not {_infinitive(path)}: {shown}."


def at_rest(results: Results, name: str) -> bool:
    """Whether a policy is the reference still, for all that was measured."""
    drift = results.methods[name].estimate(DRIFT)
    return drift is not None and (drift.mean if drift.high is None else drift.high) <= AT_REST


def at_least_half_ended_badly(results: Results, name: str) -> bool:
    runs = results.methods[name].runs
    return 2 * (runs.failed + runs.collapsed) >= runs.completed + runs.failed > 0


def ended_badly(results: Results, name: str) -> str:
    """'failed in 2 and collapsed in 1 of 5 runs'; empty where all runs ended well."""
    runs = results.methods[name].runs
    counts = (("failed", runs.failed), ("collapsed", runs.collapsed))
    parts = [f"{end} in {count}" for end, count in counts if count]
    return f"{' and '.join(parts)} of {runs.completed + runs.failed} runs" if parts else ""


def _infinitive(path: str) -> str:
    if path.startswith(ADOPTION.split(".")[0]):
        return "learn the behaviour"
    return verb(path).replace("raised", "raise")
