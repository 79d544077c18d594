"""What the comparisons at equal things say, as sentences and as a table."""

from statistics import fmean

from rlhf_compare.metrics import Style
from rlhf_compare.reporting.equal_schema import Equal, Gap
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.numbers import NOT_MEASURED, format_numbers
from rlhf_compare.reporting.schema import Results

_STYLES: dict[str, Style] = {
    "adoption": "share",
    "kl": "number",
    "seconds": "seconds",
    "samples": "count",
}
_UNITS = {"adoption": "", "kl": " nats", "seconds": " s", "samples": ""}
_NAMES = {
    "adoption": "exact adoption",
    "kl": "exact KL",
    "seconds": "device seconds after SFT",
    "samples": "samples of their own stage",
}


def equal_row(results: Results, at: str, quantity: str, pair: tuple[str, str]) -> Equal | None:
    """The row of a pair; None where the results hold none."""
    for row in results.equal:
        if (row.at, row.quantity) == (at, quantity) and {row.a, row.b} == set(pair):
            return row
    return None


def where(row: Equal) -> str:
    """'at equal adoption (0.95)'."""
    level = format_numbers([row.level], _STYLES[row.at])[0]
    words = {
        "adoption": f"equal adoption ({row.level:g})",
        "kl": f"equal KL (at most {level} nats)",
        "seconds": f"equal device seconds ({level} s after SFT)",
        "samples": f"equal samples of their own stage ({level})",
    }
    return f"at {words[row.at]}"


def equal_sentences(results: Results, pair: tuple[str, str], *places: tuple[str, str]) -> list[str]:
    """One sentence for each (at, quantity) that the results hold."""
    rows = (equal_row(results, at, quantity, pair) for at, quantity in places)
    return [_sentence(results, row) for row in rows if row is not None]


def _sentence(results: Results, row: Equal) -> str:
    lead, gap = where(row), row.difference
    lead = f"{lead[0].upper()}{lead[1:]}"
    if gap is None:
        return f"{lead}: {_alone(results, row)}{_reached(results, row)}."
    cells = ", ".join(f"{label_of(results, name)} {_mean(row, name)}" for name in (row.a, row.b))
    between = f"{label_of(results, row.a)} - {label_of(results, row.b)}: {_gap(row, gap)}"
    outcome = (
        f"{label_of(results, row.winner)} higher"
        if row.winner
        else f"{row.verdict}{_why(row, gap)}"
    )
    reached = f"; {_reached(results, row)}" if _reached(results, row) else ""
    unit = " nats" if row.quantity == "kl" else ""
    return f"{lead}: {_NAMES[row.quantity]} of {cells}{unit} ({between}); {outcome}{reached}."


def _alone(results: Results, row: Equal) -> str:
    """What the one that came there had, where the other never did."""
    for name in (row.a, row.b):
        values = [value for value in row.by_seed[name] if value is not None]
        if values:
            number = format_numbers([fmean(values)], _STYLES[row.quantity])[0]
            return f"{_NAMES[row.quantity]} of {label_of(results, name)} {number}, but "
    return ""


def _why(row: Equal, gap: Gap) -> str:
    """Why an interval without 0 shows no difference."""
    if row.p_adjusted is None or gap.low is None or gap.high is None or gap.low <= 0 <= gap.high:
        return ""
    return f", p = {row.p_adjusted:.2g} after Holm's adjustment"


def _reached(results: Results, row: Equal) -> str:
    """Who came to the level in some seeds alone, or had not begun by then; empty where both did in
    all."""
    seeds = len(row.seeds)
    return ", ".join(
        f"{label_of(results, name)} had not begun in {seeds - row.reached(name)} of {seeds} seeds"
        if row.at == "seconds"
        else f"{label_of(results, name)} came there in {row.reached(name)} of {seeds} seeds"
        for name in (row.a, row.b)
        if row.reached(name) < seeds
    )


def _mean(row: Equal, name: str) -> str:
    mean = row.mean(name)
    return NOT_MEASURED if mean is None else format_numbers([mean], _STYLES[row.quantity])[0]


def _gap(row: Equal, gap: Gap) -> str:
    style = _STYLES[row.quantity]
    if gap.interval is None:
        return format_numbers([gap.mean], style)[0]
    mean, low, high = format_numbers([gap.mean, *gap.interval], style)
    return f"{mean} [{low}, {high}]"


def equal_cells(results: Results) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Header and rows of the table; no rows where nothing was compared so."""
    if not results.equal:
        return (), ()
    first = results.equal[0]
    a, b = label_of(results, first.a), label_of(results, first.b)
    rows = []
    for row in results.equal:
        adjusted = "" if row.p_adjusted is None else f"{row.p_adjusted:.2g}"
        verdict = f"{label_of(results, row.winner)} higher" if row.winner else row.verdict
        came = [f"{label_of(results, n)} {row.reached(n)}/{len(row.seeds)}" for n in (row.a, row.b)]
        whole = all(row.reached(name) == len(row.seeds) for name in (row.a, row.b))
        rows.append(
            (
                where(row),
                f"{_NAMES[row.quantity]}{_UNITS[row.quantity] and ',' + _UNITS[row.quantity]}",
                _mean(row, row.a),
                _mean(row, row.b),
                NOT_MEASURED if row.difference is None else _gap(row, row.difference),
                str(len(row.seeds)) if whole else ", ".join(came),
                verdict,
                adjusted,
            )
        )
    return ("", "what", a, b, f"{a} - {b}", "seeds", "verdict", "p, adjusted"), tuple(rows)
