"""What each path needs: the textbook's table, with measured values in place of adjectives."""

from collections.abc import Callable, Sequence
from statistics import fmean, stdev

from rlhf_compare.metrics import BY_PATH
from rlhf_compare.reporting.comparisons import SFT, contenders
from rlhf_compare.reporting.cost_words import COST, COST_AFTER_SFT
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.last_probes import LAST_PROBES_RULE, last_ranges
from rlhf_compare.reporting.method_schema import MethodResult, StageCost, Trial
from rlhf_compare.reporting.numbers import NOT_MEASURED, format_numbers, format_value
from rlhf_compare.reporting.schema import Results
from rlhf_compare.reporting.tables import Table
from rlhf_compare.theory import COLLAPSE_RULE

_ADOPTION, _DRIFT, _REWARD = "adoption.exact", "kl_to_reference.exact", "reward.held_out"
_WORDS = {_ADOPTION: "adoption", _DRIFT: "KL", _REWARD: "judge's reward"}
_TIMES = {"x 3": 3.0, "/ 3": 1 / 3}

_DEFINITIONS = (
    "Learning steps: the stages after SFT that the path was charged for. RL: a stage sampled what "
    "it learned from. Models: in memory while the stage trains, counted on its trainer with all "
    "their parameters; those that two models share count once, and the probe's models count as "
    "evaluation. Hyper-parameters: fields that the recipe sets in the stages' sections; every "
    "other one is a default. Lines of code: without blank lines, comments and docstrings; 'here' "
    "in this package's folders of the stage's trainer, 'TRL' in the modules of TRL's trainer "
    "classes that it builds on; transformers and torch are behind every stage and not counted. "
    "Seconds: mean over seeds; memory: the most of any seed; the least and the most in brackets. "
    "Spread: standard deviation of the seeds' means. Learning rate: the same seeds with the "
    "method's learning rate changed and all else equal."
)


def needs_table(results: Results) -> Table:
    """One column a method; a row that was measured for none is named below."""
    names = contenders(results)
    rows = [
        (label, *(cell(results.methods[name]) for name in names)) for label, cell in _ROWS.items()
    ]
    shown = tuple(row for row in rows if set(row[1:]) != {NOT_MEASURED})
    missing = [row[0] for row in rows if row not in shown]
    note = f"{_DEFINITIONS} {LAST_PROBES_RULE} {COLLAPSE_RULE}"
    if missing:
        note += f" Not measured here: {'; '.join(missing)}."
    if _SENSITIVITY in missing:
        note += " `rlhf-compare compare --sensitivity` (make sensitivity) measures the last."
    return Table(header=("", *(label_of(results, name) for name in names)), rows=shown, note=note)


def _later(method: MethodResult) -> dict[str, StageCost]:
    return {name: stage for name, stage in method.cost.stages.items() if name != SFT}


def _steps(method: MethodResult) -> str:
    later = _later(method)
    return f"{len(later)} ({', '.join(later)})" if later else NOT_MEASURED


def _reward(method: MethodResult) -> str:
    later = _later(method)
    return ("yes" if "reward" in later else "no") if later else NOT_MEASURED


def _sampling(method: MethodResult) -> str:
    later = _later(method)
    if not later:
        return NOT_MEASURED
    return "yes" if any(stage.phases.get("generate", 0) > 0 for stage in later.values()) else "no"


def _models(method: MethodResult) -> str:
    def words(stage: str, trains: bool) -> str:
        models = method.complexity[stage].models
        if not models:
            return f"{stage}: {NOT_MEASURED if trains else 'trains none'}"
        roles = f" ({', '.join(models)})" if len(models) > 1 else ""
        return f"{stage}: {len(models)}{roles}, {sum(models.values()):,} parameters"

    later = _later(method)
    if not any(one.models for one in method.complexity.values()):
        return NOT_MEASURED
    return "; ".join(
        words(stage, stage in later and "update" in later[stage].phases)
        for stage in method.complexity
    )


def _settings(method: MethodResult) -> str:
    counts = {stage: one.settings for stage, one in method.complexity.items()}
    return _sum_of(counts) if counts else NOT_MEASURED


def _sum_of(counts: dict[str, int]) -> str:
    parts = f" ({', '.join(f'{name} {n:,}' for name, n in counts.items())})"
    return f"{sum(counts.values()):,}{parts if len(counts) > 1 else ''}"


def _lines(method: MethodResult) -> str:
    found = {stage: one.lines for stage, one in method.complexity.items() if one.lines}
    if not found:
        return NOT_MEASURED
    here = {stage: lines.get("here", 0) for stage, lines in found.items()}
    theirs = {stage: lines["trl"] for stage, lines in found.items() if lines.get("trl")}
    return f"{_sum_of(here)} here" + (f", {_sum_of(theirs)} of TRL" if theirs else "")


def _seconds(method: MethodResult) -> str:
    path = format_value(method.value(COST), "seconds")
    if not path.measured:
        return NOT_MEASURED
    after = format_value(method.value(COST_AFTER_SFT), "seconds")
    every = method.cost.by_seed
    return (
        f"{path}{_range([one.path_total for one in every], 'seconds')}; "
        f"{after}{_range([one.after_sft for one in every], 'seconds')} after SFT"
    )


def _memory(method: MethodResult) -> str:
    peak = format_value(method.value("cost.peak_memory_bytes"), "mebibytes")
    seen = [float(one.peak_memory_bytes) for one in method.cost.by_seed if one.peak_memory_bytes]
    return f"{peak}{_range(seen, 'mebibytes')}"


def _range(values: Sequence[float], style: str) -> str:
    if len(values) < 2:
        return ""
    least, most = (
        format_numbers([end], style)[0]  # type: ignore[arg-type]
        for end in (min(values), max(values))
    )
    return f" ({least} to {most})"


def _runs(method: MethodResult) -> str:
    return ", ".join(f"{count} {end}" for end, count in method.runs)


def _spread(method: MethodResult) -> str:
    parts = []
    for path, word in _WORDS.items():
        found = method.estimate(path)
        values = [] if found is None else [one for one in found.by_seed if one is not None]
        if len(values) >= 2:
            parts.append(f"{word} {_two_digits(stdev(values))}{_unit(path)}")
    return ", ".join(parts) or NOT_MEASURED


def _last_probes(method: MethodResult) -> str:
    parts = []
    for path in (_ADOPTION, _DRIFT):
        ranges = last_ranges(method, path)
        if not ranges:
            continue
        words = f"{_WORDS[path]} {_two_digits(fmean(ranges))}{_unit(path)}"
        parts.append(words + (f" (at most {_two_digits(max(ranges))})" if len(ranges) > 1 else ""))
    return ", ".join(parts) or NOT_MEASURED


def _two_digits(value: float) -> str:
    return f"{value:.2g}" if value < 100 else f"{value:,.0f}"


def _unit(path: str) -> str:
    return " nats" if path == _DRIFT else ""


def _sensitivity(method: MethodResult) -> str:
    return "; ".join(map(_trial, method.sensitivity)) or NOT_MEASURED


def _trial(trial: Trial) -> str:
    times = next((word for word, f in _TIMES.items() if abs(f - trial.factor) < 1e-9), "")
    parts = [
        f"{word} {format_value(trial.means[path], BY_PATH[path].style)}{_unit(path)}"
        for path, word in _WORDS.items()
        if path in trial.means
    ]
    ends = [f"{n} {end}" for end, n in trial.runs if n and end != "completed"]
    words = ", ".join([*parts, *ends]) or NOT_MEASURED
    return f"{times or f'x {trial.factor:.3g}'}: {words}"


_SENSITIVITY = "training stability (learning rate / 3 and x 3)"
_ROWS: dict[str, Callable[[MethodResult], str]] = {
    "learning steps after SFT": _steps,
    "reward model needed": _reward,
    "RL needed (learns from its own samples)": _sampling,
    "complexity (models in memory)": _models,
    "complexity (hyper-parameters set)": _settings,
    "complexity (lines of code)": _lines,
    "compute cost (device seconds)": _seconds,
    "compute cost (peak memory, MiB)": _memory,
    "training stability (runs)": _runs,
    "training stability (spread over seeds)": _spread,
    "training stability (range over the last three probes)": _last_probes,
    _SENSITIVITY: _sensitivity,
}
