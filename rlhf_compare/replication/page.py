"""The page of a replication: what stands first in sentences, then every number."""

from collections.abc import Sequence

from rlhf_compare.replication.results import Change, Replication
from rlhf_compare.reporting.escaping import escape_markdown
from rlhf_compare.reporting.method_schema import Estimate
from rlhf_compare.reporting.numbers import format_value
from rlhf_compare.sweeps.markdown import table

RULE = (
    "Brackets hold 95 % intervals, over seeds and prompts. First - fresh is Welch's over the means "
    "of the seeds: both sides are measured on the same prompts and start from the same SFT model, "
    "so the luck of these two is in neither, and another SFT model or other prompts are not "
    "replicated here; the judge of the held-out reward is trained anew under every seed, so its "
    "luck is in both. Below three seeds on a side there is no interval and no verdict. Each row is "
    "taken alone: of twenty numbers that seeds alone move, one is said not to replicate."
)
TUNED_RULE = (
    "Tuned: the setting that the search chose, on the tuning prompts and seeds. These prompts and "
    "seeds are not those of the fresh numbers, so the interval of the difference is made from both "
    "intervals (Zou & Donner 2008). A chosen number is too good by what luck helped to choose it."
)


def page(replication: Replication) -> str:
    """Markdown."""
    parts = [
        f"# Fresh seeds: {escape_markdown(replication.recipe)}",
        *(escape_markdown(line) for line in sentences(replication)),
    ]
    if replication.answers:
        rows = [(one.what, one.before, one.fresh, one.outcome) for one in replication.answers]
        title = " against ".join(replication.pair)
        parts += [f"## Who is higher: {escape_markdown(title)}"]
        parts += [table(("", "first", "fresh", "outcome"), rows)]
    parts += ["## Every number, first and fresh", table(*numbers(replication.changes, "first"))]
    parts += [escape_markdown(RULE)]
    if replication.tuned:
        parts += ["## What choosing flattered", table(*numbers(replication.tuned, "tuned"))]
        parts += [escape_markdown(TUNED_RULE)]
    parts += ["## Where the numbers come from", _origins(replication)]
    return "\n\n".join(parts) + "\n"


def numbers(changes: Sequence[Change], side: str) -> tuple[list[str], list[list[str]]]:
    """The head and the lines of a table.

    Args:
        side: what ``before`` is called.
    """
    head = ["", "metric", side, "fresh", f"{side} - fresh", "p", "verdict"]
    lines = []
    for one in changes:
        p = one.difference.p_value
        what = f"{one.what}, {one.unit}" if one.unit else one.what
        found = [_cell(one, value) for value in (one.before, one.fresh, _gap(one))]
        lines.append([one.of, what, *found, "" if p is None else f"{p:.2g}", one.verdict])
    return head, lines


def sentences(replication: Replication) -> list[str]:
    """Plain text, the most important first; each has its condition in the numbers."""
    lines = [*_verdicts(replication), _numbers(replication.changes)]
    if replication.tuned:
        lines.append(_tuned(replication.tuned))
    return [*lines, *replication.notes]


def _verdicts(replication: Replication) -> list[str]:
    if not replication.answers:
        return []
    pair = " against ".join(replication.pair)
    decided = [one for one in replication.answers if one.outcome != "not decided"]
    same = sum(one.outcome == "same" for one in decided)
    undecided = len(replication.answers) - len(decided)
    text = f"{pair}: {same} of {len(decided)} verdicts are the same under fresh seeds"
    if not decided:
        text = f"{pair}: too few seeds for a verdict"
    elif undecided:
        text += f"; {undecided} could not be decided"
    others = "".join(
        f" {one.what}: {one.before} first, {one.fresh} under the fresh seeds ({one.outcome})."
        for one in decided
        if one.outcome != "same"
    )
    return [f"{text}.{others}"]


def _numbers(changes: Sequence[Change]) -> str:
    counts = _counts(changes)
    listed = "".join(
        f" {one.of}, {one.what}: {_cell(one, one.before)} first, {_cell(one, one.fresh)} under the "
        f"fresh seeds, difference {_cell(one, _gap(one))}."
        for one in changes
        if one.kind == "differs"
    )
    return f"First and fresh numbers: {counts}.{listed}"


def _tuned(changes: Sequence[Change]) -> str:
    listed = "; ".join(
        f"{one.of}, {one.what} {_cell(one, _gap(one))}{f' {one.unit}' if one.unit else ''}"
        for one in changes
    )
    return f"Tuned minus fresh ({_counts(changes)}): {listed}."


def _counts(changes: Sequence[Change]) -> str:
    words = {
        "no difference": "no difference shown in {}",
        "differs": "a difference in {}",
        "not decided": "not decided in {}",
    }
    found = {kind: sum(one.kind == kind for one in changes) for kind in words}
    shown = [words[kind].format(n) for kind, n in found.items() if n]
    return f"{', '.join(shown)} of {len(changes)}" if shown else "none was measured on both sides"


def _gap(change: Change) -> Estimate | float:
    """The difference in the form that is printed with its interval."""
    gap = change.difference
    if gap.interval is None:
        return gap.mean
    seeds = min(change.before.seeds, change.fresh.seeds)
    return Estimate(mean=gap.mean, low=gap.low, high=gap.high, n=change.fresh.n, seeds=seeds)


def _cell(change: Change, value: Estimate | float) -> str:
    return str(format_value(value, change.style))


def _origins(replication: Replication) -> str:
    head = ["", *replication.sides]
    rows = [
        (name, *(str(getattr(side, name) or "not recorded") for side in replication.sides.values()))
        for name in ("file", "command", "commit", "device", "created")
    ]
    seeds = [" ".join(map(str, side.seeds)) for side in replication.sides.values()]
    return table(head, [("seeds", *seeds), *rows])
