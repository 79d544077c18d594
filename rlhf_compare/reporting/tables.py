"""Every table as plain data, so that terminal, Markdown and HTML show the same one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rlhf_compare.metrics import BY_PATH, METRICS
from rlhf_compare.reporting.applicable import cell, has_number, left_out_note
from rlhf_compare.reporting.comparisons import ordered
from rlhf_compare.reporting.equal import equal_cells
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.method_schema import DeviceSeconds, Estimate
from rlhf_compare.reporting.numbers import NOT_MEASURED, Cell, format_value
from rlhf_compare.reporting.provenance_schema import Ledger, Origin
from rlhf_compare.reporting.recipe_facts import sft_is_given
from rlhf_compare.reporting.schema import Results
from rlhf_compare.theory import EQUAL_RULE

NOT_RECORDED = "not recorded"
ABSENT = "-"  # the stage has no such phase; nothing was left unmeasured
PHASES = ("load", "data", "reference", "generate", "score", "update", "evaluate", "save")


@dataclass(frozen=True)
class Table:
    """Titled rows of plain text; the first column names the row."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One metric for the chosen methods; `n`: what was averaged over, as text."""

    label: str
    unit: str
    better: str
    cells: tuple[Cell, ...]
    n: str
    starts_group: bool


def side_by_side(results: Results, methods: Sequence[str] | None = None) -> tuple[Row, ...]:
    """Every metric that any method has a number in, for `methods` (all of them by default); one
    cell a method. What is left out, :func:`left_out_note` names."""
    names = chosen_methods(results, methods)
    rows, group = [], METRICS[0].group
    for metric in METRICS:
        if not has_number(results, metric):
            continue
        values = [results.methods[name].measured(metric.path) for name in names]
        counts = dict.fromkeys(str(value.n) for value in values if isinstance(value, Estimate))
        rows.append(
            Row(
                label=metric.label,
                unit=metric.unit,
                better=metric.better,
                cells=tuple(cell(results, name, metric) for name in names),
                n=" / ".join(counts),
                starts_group=metric.group != group,
            )
        )
        group = metric.group
    return tuple(rows)


def chosen_methods(results: Results, methods: Sequence[str] | None) -> list[str]:
    """The names to show; one that is not in the results is an error that lists those that are."""
    present = list(results.methods)
    for name in methods or ():
        if name not in present:
            raise ValueError(f"no method {name!r} in these results; there are {', '.join(present)}")
    return present if methods is None else list(methods)


def metrics_table(results: Results) -> Table:
    """The side-by-side table with units and directions as columns."""
    names = tuple(label_of(results, name) for name in results.methods)
    return Table(
        header=("", "unit", "better", *names, "n"),
        rows=tuple(
            (row.label, row.unit, row.better, *map(str, row.cells), row.n)
            for row in side_by_side(results)
        ),
        note=f"Brackets hold 95 % intervals; n: prompts{_topics(results)}. "
        f"{left_out_note(results)}".rstrip(),
    )


def _topics(results: Results) -> str:
    """What the intervals take as drawn independently, where that is not the prompts."""
    found = [method.estimate("length") for method in results.methods.values()]
    units = [
        one.units
        for one in found
        if one is not None and one.units is not None and one.units < one.n
    ]
    return f" in {min(units)} topics, which the intervals take as drawn" if units else ""


def _fixed_seconds(value: float, longest: float) -> str:
    """Every cell of one table with the same decimals; '<' marks what would round to nothing."""
    digits = 0 if longest >= 1000 else 1
    least = 10.0**-digits
    return f"<{least:g}" if 0 < value < 0.5 * least else f"{value:,.{digits}f}"


def cost_table(results: Results) -> Table:
    """Device seconds of each path by stage and phase, phases added up and beside the total."""
    measured: dict[str, DeviceSeconds] = {}
    for name, method in results.methods.items():
        if method.cost.device_seconds is not None:
            measured[name] = method.cost.device_seconds
    seen = {p for d in measured.values() for s in d.stages.values() for p in s.phases}
    phases = [p for p in PHASES if p in seen] + sorted(seen.difference(PHASES))
    longest = max((cost.path_total for cost in measured.values()), default=0.0)
    rows: list[tuple[str, ...]] = []
    for name in results.methods:
        if name not in measured:
            rows.append(
                (label_of(results, name), "whole path", *[""] * (len(phases) + 1), NOT_MEASURED)
            )
            continue
        for stage, cost in measured[name].stages.items():
            spent = cost.phases
            cells = [_fixed_seconds(spent[p], longest) if p in spent else ABSENT for p in phases]
            sums = [_fixed_seconds(t, longest) for t in (sum(spent.values()), cost.total)]
            rows.append((label_of(results, name), stage, *cells, *sums))
        total = _fixed_seconds(measured[name].path_total, longest)
        rows.append((label_of(results, name), "whole path", *[""] * (len(phases) + 1), total))
    return Table(
        header=("path", "stage", *phases, "phases", "total"),
        rows=tuple(rows),
        note="Device seconds. 'phases' adds up the phases; 'total' was metered on its own. "
        f"'{ABSENT}': the stage has no such phase.",
    )


def differences_table(results: Results) -> Table:
    """Every comparison with its interval and verdict, the pair that was asked about first."""
    rows = []
    for row in ordered(results):
        metric = BY_PATH[row.metric]
        difference = format_value(row.difference, metric.style)
        verdict = f"{label_of(results, row.winner)} higher" if row.winner else row.verdict
        adjusted = "exploratory" if row.p_adjusted is None else f"{row.p_adjusted:.2g}"
        rows.append(
            (
                metric.label,
                metric.unit,
                f"{label_of(results, row.a)} - {label_of(results, row.b)}",
                str(difference),
                verdict if difference.measured else NOT_MEASURED,
                adjusted,
                str(row.difference.seeds) if row.difference else NOT_MEASURED,
            )
        )
    return Table(
        header=("", "unit", "difference of", "difference", "verdict", "p, adjusted", "seeds"),
        rows=tuple(rows),
        note="A method is called higher only from three seeds on and where the 95 % interval does "
        "not hold 0; in the metrics that the comparison was made for, also only where p, adjusted "
        "for their number (Holm 1979), is at most 0.05. Every other row is exploratory: of twenty "
        "without a difference one names a winner.",
    )


def equal_table(results: Results) -> Table:
    """The main pair at equal things; see :data:`rlhf_compare.theory.EQUAL_RULE`."""
    header, rows = equal_cells(results)
    return Table(header=header, rows=rows, note=EQUAL_RULE)


def ledger_table(results: Results) -> Table:
    """How many rows were read, dropped with their reasons, kept and used."""
    ledger, given = results.provenance.ledger, sft_is_given(results)
    dropped = [
        (f"dropped: {why}", f"{count:,}", _first(ledger.named.get(why, []), count))
        for why, count in ledger.dropped.items()
    ]
    feeds = [
        (f"rows to train on that hold {kind}", f"{n:,}", "") for kind, n in ledger.feeds.items()
    ]
    responses = ledger.responses
    sources = [(source.name, "", source.words) for source in ledger.sources]
    return Table(
        header=("rows", "count", "first of them"),
        rows=(
            *sources,
            ("read", f"{ledger.read:,}", ""),
            *dropped,
            ("kept", f"{ledger.kept:,}", ""),
            ("unaccounted for", f"{ledger.unaccounted:,}", ""),
            ("rows to train on", f"{ledger.train_rows:,}", ""),
            *feeds,
            ("rows for the judge alone", f"{ledger.judge_rows:,}", ""),
            ("rows held out", f"{ledger.eval_rows:,}", ""),
            ("prompts held out", f"{ledger.eval_prompts:,}", ""),
            *_parts(ledger, given),
            ("ranked responses", f"{responses['kept']:,}", ""),
            ("responses left out as too long", f"{responses['too_long']:,}", ""),
            ("pairs of responses", f"{ledger.pairs:,}", ""),
            ("pairs that tie", f"{ledger.ties:,}", ""),
            *([("what SFT trained on", "given", "nothing was trained")] if given else []),
            *_learned(results),
        ),
        note="What a stage trained on is its own count." if results.provenance.learned else "",
    )


def _parts(ledger: Ledger, given: bool) -> list[tuple[str, str, str]]:
    """How the prompts are cut; no prompt and no topic is in two parts."""
    words = {
        "train": "for reward model and methods" if given else "for SFT, reward model and methods",
        "judge": "for the judge alone",
        "judging": "held out, to judge",
        "probe": "held out, to watch training",
        "tuning": "held out, to choose settings",
    }
    return [
        (f"prompts {words.get(name, name)}", f"{size['prompts']:,}", f"{size['groups']:,} groups")
        for name, size in ledger.parts.items()
    ]


def _learned(results: Results) -> list[tuple[str, str, str]]:
    """What each stage trained on, by its own count; runs that differ in seed alone are one row."""
    rows: dict[tuple[str, str, str], set[int]] = {}
    for label, learned in results.provenance.learned.items():
        stage = re.sub(r"-\d+$", "", label)
        left = learned.at_hand - learned.used
        rest = f"; {left:,} were not reached" if left else ""
        key = (
            f"{learned.unit} that {stage} trained on",
            f"{learned.used:,}",
            f"{learned.passes:.3g} passes{rest}",
        )
        rows.setdefault(key, set()).add(learned.made)
    return [(unit, used, text + _broken(made)) for (unit, used, text), made in rows.items()]


def _broken(made: set[int]) -> str:
    """How many texts each run made; runs draw them, so their counts may differ a little."""
    least, most = min(made), max(made)
    if not most:
        return ""
    count = f"{most:,}" if least == most else f"{least:,} to {most:,}"
    return f"; and {count} broken texts made from them"


def _first(places: list[str], count: int, shown: int = 3) -> str:
    """Where the first dropped rows stand."""
    return ", ".join(places[:shown]) + (", ..." if count > shown else "")


def _origin(origin: Origin | None) -> list[tuple[str, str]]:
    """The model that all start from; no row for new weights."""
    if origin is None:
        return []
    named = {"SHA-256": origin.sha256, "revision": origin.revision}
    known = [f"{word} {value}" for word, value in named.items() if value]
    return [
        ("model at the start", ", ".join([origin.name, *known])),
        ("its licence", origin.licence or NOT_RECORDED),
    ]


def provenance_table(results: Results) -> Table:
    """What would be needed to make these numbers again."""
    facts, device = results.provenance, results.provenance.device
    clock = {"wall": "wall clock", "cuda_events": "CUDA events"}[device.clock]
    tree = {True: "changed since the commit", False: "as committed", None: NOT_RECORDED}
    return Table(
        header=("", ""),
        rows=(
            ("recipe", results.recipe.name),
            ("command", facts.command),
            ("created", facts.created),
            ("commit", facts.commit or NOT_RECORDED),
            ("tree", tree[facts.dirty]),
            ("device", f"{device.kind}, {device.name}; time by {clock}"),
            ("seeds", ", ".join(map(str, facts.seeds))),
            ("parameters", f"{facts.parameters:,}"),
            *_origin(facts.origin),
            ("data SHA-256", facts.data_sha256 or NOT_RECORDED),
            *((f"version of {name}", text) for name, text in facts.versions.items()),
        ),
    )
