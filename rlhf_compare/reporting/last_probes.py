"""Whether a run still swung when it ended: the range over its last probes."""

from rlhf_compare.metrics import BY_PATH
from rlhf_compare.reporting.method_schema import MethodResult

LAST = 3  # probes

LAST_PROBES_RULE = (
    "Last three probes: the largest less the least value that they saw in one seed's run, the "
    "start of the run not counted; mean over seeds, and the most of any seed in brackets. Where "
    "this is large beside a difference between methods, the step at which training stopped decides "
    "that difference."
)


def last_ranges(method: MethodResult, path: str) -> list[float]:
    """max - min over the last three probes of each seed's run, for the metric at ``path``, in the
    metric's unit; a seed with fewer than three probes that hold a number is left out.

    Raises:
        KeyError: no metric has that path, or no probe sees it.
    """
    probe, found = BY_PATH[path].probe, []
    for run in method.training:
        seen = [point.value(probe) for point in run.points if point.step > 0]
        values = [value for value in seen if value is not None][-LAST:]
        if len(values) == LAST:
            found.append(max(values) - min(values))
    return found
