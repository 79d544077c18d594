"""The results object: the one thing that tables, pages, dashboards and checks read.

`schema.py` states the form; this file adds what spans several parts: every number is finite,
comparisons name methods and metrics that exist, and no verdict claims more than its interval shows.
"""

import json
import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rlhf_compare.errors import UserError
from rlhf_compare.reporting.escaping import visible
from rlhf_compare.reporting.numbers import NO_DIFFERENCE, NOT_DECIDED
from rlhf_compare.reporting.schema import Results
from rlhf_compare.runs.files import replace_text

_LONGEST_MESSAGE = 240  # characters: the validator repeats the whole value, which may be a page


class ResultsError(UserError, ValueError):
    """A results object that breaks its contract: the JSON path and what is wrong, in one line."""

    def __init__(self, path: str, problem: str) -> None:
        line = visible(f"{path}: {problem}", line=True)
        too_long = len(line) > _LONGEST_MESSAGE
        super().__init__(line[:_LONGEST_MESSAGE] + " ..." if too_long else line)


def _fault(error: ValidationError) -> ResultsError:
    """The first thing that the schema refuses, with its JSON path."""
    fault = error.errors()[0]
    path = "$"
    for key in fault["loc"]:
        path += f"[{key}]" if isinstance(key, int) else f".{key}"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] in ("missing", "value_error"):
        return ResultsError(path, message)
    return ResultsError(path, f"{message}, got {fault['input']!r}")


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every value in the tree with its JSON path, parents first."""
    yield path, value
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _walk(child, f"{path}.{key}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _walk(child, f"{path}[{index}]")


def _check_values(results: Any) -> None:
    for path, value in _walk(results, "$"):
        if isinstance(value, float) and not math.isfinite(value):
            raise ResultsError(path, f"{value} is not a finite number; use null for 'not measured'")
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise ResultsError(path, f"the key {key!r} is not a string")


def _check_comparison(index: int, row: dict[str, Any], methods: dict[str, Any]) -> None:
    path = f"$.comparisons[{index}]"
    for side in ("a", "b"):
        if row[side] not in methods:
            problem = f"no method {row[side]!r}; there are {', '.join(methods)}"
            raise ResultsError(f"{path}.{side}", problem)
        value: Any = methods[row[side]]
        for key in row["metric"].split("."):
            if value is None:
                break
            if not isinstance(value, dict) or key not in value:
                problem = f"{row['metric']!r} is no metric of {row[side]!r}"
                raise ResultsError(f"{path}.metric", problem)
            value = value[key]
    if row["a"] == row["b"]:
        raise ResultsError(path, f"compares {row['a']!r} with itself")
    _check_verdict(path, row)


def _check_verdict(path: str, row: dict[str, Any]) -> None:
    """A method is higher only where the interval of a - b says so."""
    a_wins, b_wins = f"{row['a']} higher", f"{row['b']} higher"
    undecided = (NO_DIFFERENCE, *NOT_DECIDED)
    if row["verdict"] not in (a_wins, b_wins, *undecided):
        allowed = f"{a_wins!r}, {b_wins!r} or {' or '.join(map(repr, undecided))}"
        raise ResultsError(f"{path}.verdict", f"{row['verdict']!r} is not {allowed}")
    if row["verdict"] in undecided:
        return
    difference = row["difference"]
    if difference is None:
        raise ResultsError(f"{path}.verdict", f"{row['verdict']!r}, but no difference was measured")
    low, high = difference["low"], difference["high"]
    shown = low is None or (low > 0 if row["verdict"] == a_wins else high < 0)
    if not shown:
        raise ResultsError(
            f"{path}.verdict",
            f"{row['verdict']!r}, but the interval of a - b is [{low}, {high}]",
        )


def _check_time(created: str) -> None:
    try:
        datetime.fromisoformat(created)
    except ValueError:
        raise ResultsError("$.provenance.created", f"{created!r} is not an ISO 8601 time") from None


def validate(results: dict[str, Any]) -> None:
    """Raise `ResultsError` at the first thing in `results` that breaks the contract."""
    try:
        _check_values(results)
    except RecursionError:
        raise ResultsError("$", "nested too deeply") from None
    try:
        Results.model_validate(results)
    except ValidationError as error:
        raise _fault(error) from None
    _check_time(results["provenance"]["created"])
    for index, row in enumerate(results["comparisons"]):
        _check_comparison(index, row, results["methods"])
    for index, sample in enumerate(results["samples"]):
        for name in sample:
            if name not in ("prompt", "held_out") and name not in results["methods"]:
                raise ResultsError(f"$.samples[{index}].{name}", "an answer by no known method")


def load_results(path: str | Path) -> dict[str, Any]:
    """Read and validate `results.json`; every way it can be wrong is a `ResultsError`."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ResultsError(str(path), "no such file; run the evaluation first") from None
    except UnicodeDecodeError as error:
        raise ResultsError(str(path), f"not UTF-8 text: {error.reason}") from None
    try:
        results: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError as error:
        raise ResultsError(str(path), f"not JSON: {error.msg} at line {error.lineno}") from None
    except RecursionError:
        raise ResultsError(str(path), "nested too deeply") from None
    validate(results)
    return results


def write_results(results: dict[str, Any], path: str | Path) -> None:
    """Validate, then write `results.json` whole or not at all."""
    validate(results)
    replace_text(Path(path), json.dumps(results, indent=2, allow_nan=False) + "\n")
