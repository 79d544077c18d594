"""Runs to numbers, numbers to Markdown."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.flops import flops_by_phase
from benchmarks.settings import NAMES, OURS, TRL, Settings, Shape

Run = dict[str, Any]  # a worker's result
Runs = dict[str, list[Run]]  # by system, one a round

MIB = 2**20
_PHASES = {
    "generate": "sample the responses",
    "score": "reward, values, old log-probabilities",
    "reference": "reference log-probabilities",
    "update": "update: forward, losses, the rest",
    "backward": "update: backward",
    "optimizer": "update: optimizer step",
    "data": "prompts",
    "garbage collection": "garbage collection",
}


def episodes_per_second(run: Run, episodes: int) -> float:
    """Over all measured iterations of a run, so that a slow one counts."""
    seconds = run["iteration_seconds"]
    return episodes * len(seconds) / sum(seconds)


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Median, lowest and highest of the rounds' own ratios: what slows the machine slows both of a
    round.

    Raises:
        ValueError: another number of rounds, or none.
    """
    if len(ours) != len(theirs) or not ours:
        raise ValueError(f"{len(ours)} and {len(theirs)} rounds cannot be paired")
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return median(ratios), min(ratios), max(ratios)


def positions(run: Run, grad: str) -> float:
    """Positions through the layers of all models in an iteration, with a gradient or without."""
    return sum(c["tokens"] for key, c in run["forwards"].items() if key.endswith(f"/{grad}"))


def time_rows(settings: Settings) -> dict[str, Callable[[Run], float]]:
    """Time and work: every row of the comparison and how it is read from a run."""
    e = settings.episodes

    def phase(name: str) -> Callable[[Run], float]:
        return lambda run: 1e3 * run["phases"].get(name, 0.0)

    return {
        "episodes per second": lambda run: episodes_per_second(run, e),
        "iteration, ms": lambda run: 1e3 * e / episodes_per_second(run, e),
        **{f"{label}, ms": phase(name) for name, label in _PHASES.items()},
        "response tokens per episode": lambda run: run["tokens"] / e,
        "optimizer steps per iteration": lambda run: run["optimizer_steps"],
        "positions computed per episode, no gradient": lambda run: positions(run, "no_grad") / e,
        "positions computed per episode, gradient": lambda run: positions(run, "grad") / e,
    }


def memory_rows() -> dict[str, Callable[[Run], float]]:
    """Peak resident memory in MiB, above three levels."""

    def above(level: str | None) -> Callable[[Run], float]:
        return lambda run: (run["memory"]["peak"] - (run["memory"][level] if level else 0)) / MIB

    return {
        "peak memory above the loaded models, MiB": above("loaded"),
        "peak memory above the imports, MiB": above("imported"),
        "peak memory, MiB": above(None),
    }


def compare(
    runs: Runs, rows: dict[str, Callable[[Run], float]], base: str = TRL
) -> dict[str, dict[str, Any]]:
    """Medians over rounds of every system, and every system's ratio to ``base``."""
    table: dict[str, dict[str, Any]] = {}
    for name, read in rows.items():
        values = {system: [read(run) for run in rounds] for system, rounds in runs.items()}
        table[name] = {
            "median": {system: median(v) for system, v in values.items()},
            "ratio": {
                system: paired_ratio(v, values[base])
                for system, v in values.items()
                if system != base and all(values[base])
            },
        }
    return table


def comparison_markdown(
    table: dict[str, dict[str, Any]], base: str = TRL, names: Mapping[str, str] = NAMES
) -> str:
    """One row a metric: medians, then ratios with the rounds' extremes."""
    systems = list(next(iter(table.values()))["median"])
    others = [s for s in systems if s != base]
    header = ["", *(names[s] for s in systems), *(f"{names[s]} / {names[base]}" for s in others)]
    rows = [
        [
            name,
            *(number(entry["median"][s]) for s in systems),
            *(_ratio(entry["ratio"].get(s)) for s in others),
        ]
        for name, entry in table.items()
    ]
    return markdown(header, rows)


def memory_markdown(table: dict[str, dict[str, Any]], base: str = TRL) -> str:
    """One row a system, for many systems and few metrics: medians, their ratio to ``base``."""
    systems = list(next(iter(table.values()))["median"])
    rows = []
    for system in systems:
        cells = []
        for entry in table.values():
            ratio = entry["ratio"].get(system)
            share = f" ({ratio[0]:.2f})" if ratio is not None else ""
            cells.append(number(entry["median"][system]) + share)
        rows.append([NAMES[system], *cells])
    return markdown([f"(in brackets: of {NAMES[base]})", *table], rows)


def roofline(runs: Runs, shape: Shape, system: str = OURS) -> dict[str, Any]:
    """Where a system's time goes against the matrix peak: medians over rounds, by phase.

    Returns:
        ``peak`` and ``model`` in FLOP/s (see ``gemm_rates``), and ``phases``: seconds, operations.
    """
    gemm = [run["gemm"] for run in runs[OURS]]
    phases: dict[str, dict[str, float]] = {}
    work = [flops_by_phase(shape, run["forwards"]) for run in runs[system]]
    for name in _PHASES:
        seconds = median(run["phases"].get(name, 0.0) for run in runs[system])
        if seconds:
            phases[name] = {"seconds": seconds, "flops": median(w.get(name, 0) for w in work)}
    phases["whole iteration"] = {
        "seconds": median(median(run["iteration_seconds"]) for run in runs[system]),
        "flops": median(sum(w.values()) for w in work),
    }
    return {
        "peak": median(g["peak"] for g in gemm),
        "model": median(g["model"] for g in gemm),
        "phases": phases,
    }


def roofline_markdown(name: str, result: dict[str, Any]) -> str:
    """One row a phase: time, work, rate, share of both peaks."""
    rows = []
    for phase, entry in result["phases"].items():
        rate = entry["flops"] / entry["seconds"]
        shares = [f"{100 * rate / result[p]:.1f} %" if rate else "" for p in ("peak", "model")]
        work = [number(entry["flops"] / 1e9), number(rate / 1e9)] if rate else ["", ""]
        rows.append([_PHASES.get(phase, phase), number(1e3 * entry["seconds"]), *work, *shares])
    header = ["phase", "ms", "GFLOP", "GFLOP/s", "of the peak", "of the model's own product"]
    return (
        f"{name} against the matrix peak: {result['peak'] / 1e9:.0f} GFLOP/s (best square "
        f"product), {result['model'] / 1e9:.0f} GFLOP/s (the model's own feed-forward product).\n\n"
        + markdown(header, rows)
    )


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column left, the others right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float) -> str:
    """Three significant digits, whole numbers as they are."""
    if value == round(value) or abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}"


def _ratio(ratio: Sequence[float] | None) -> str:
    if ratio is None:
        return ""
    middle, low, high = ratio
    return f"{middle:.2f}" if low == high else f"{middle:.2f} [{low:.2f}, {high:.2f}]"
