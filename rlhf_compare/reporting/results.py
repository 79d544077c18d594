"""results.json, read and written: the one thing that tables, pages, dashboards and checks read.

`schema.py` is the contract; this file turns every way to break it into one line with a JSON path.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from rlhf_compare.errors import UserError
from rlhf_compare.reporting.escaping import visible
from rlhf_compare.reporting.schema import Results
from rlhf_compare.reporting.schema_types import FaultError, Part
from rlhf_compare.runs.files import replace_text

_LONGEST_MESSAGE = 240  # characters: the validator repeats the whole value, which may be a page


P = TypeVar("P", bound=Part)


class ResultsError(UserError, ValueError):
    """A results object that breaks its contract: the JSON path and what is wrong, in one line."""

    def __init__(self, path: str, problem: str) -> None:
        line = visible(f"{path}: {problem}", line=True)
        too_long = len(line) > _LONGEST_MESSAGE
        super().__init__(line[:_LONGEST_MESSAGE] + " ..." if too_long else line)


def _fault(error: ValidationError, path: str) -> ResultsError:
    """The first thing that the schema refuses, with its JSON path."""
    fault = error.errors()[0]
    for key in fault["loc"]:
        path += f"[{key}]" if isinstance(key, int) else f".{key}"
    cause = fault.get("ctx", {}).get("error")
    if isinstance(cause, FaultError) and cause.path:
        path += f".{cause.path}"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] in ("missing", "value_error"):
        return ResultsError(path, message)
    return ResultsError(path, f"{message}, got {fault['input']!r}")


def _walk(value: object, path: str) -> Iterator[tuple[str, object]]:
    """Every value in the tree with its JSON path, parents first."""
    yield path, value
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _walk(child, f"{path}.{key}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _walk(child, f"{path}[{index}]")


def _check_values(data: object, top: str) -> None:
    for path, value in _walk(data, top):
        if isinstance(value, float) and not math.isfinite(value):
            raise ResultsError(path, f"{value} is not a finite number; use null for 'not measured'")
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise ResultsError(path, f"the key {key!r} is not a string")


def parse(kind: type[P], data: object, path: str = "$") -> P:
    """The results, or one part of them, from what ``results.json`` holds.

    Args:
        data: dictionaries, lists and numbers; parts that are made already may be among them.
        path: where `data` stands in the results, for the errors.

    Raises:
        ResultsError: names the first thing in `data` that breaks the contract.
    """
    try:
        _check_values(data, path)
    except RecursionError:
        raise ResultsError(path, "nested too deeply") from None
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise _fault(error, path) from None


def parse_results(data: object) -> Results:
    """See :func:`parse`."""
    return parse(Results, data)


def as_data(results: Results) -> dict[str, Any]:
    """What ``results.json`` holds: what was given, in the order in which it was given."""
    return results.model_dump(exclude_unset=True)


def load_results(path: str | Path) -> Results:
    """Read and validate `results.json`; every way it can be wrong is a `ResultsError`."""
    return parse_results(_read(path, "run the evaluation first"))


def load(kind: type[P], path: str | Path, way_out: str) -> P:
    """Read and check a file that holds one part; its faults name the file.

    Args:
        way_out: what to do where there is no such file.

    Raises:
        ResultsError: there is none, or it breaks the contract.
    """
    return parse(kind, _read(path, way_out), f"{path}: $")


def write_part(part: Part, path: Path) -> None:
    """Write it whole or not at all, keys in their order: a page reads the same from the file."""
    replace_text(path, json.dumps(part.model_dump(mode="json"), indent=1) + "\n")


def _read(path: str | Path, way_out: str) -> object:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ResultsError(str(path), f"no such file; {way_out}") from None
    except IsADirectoryError:
        raise ResultsError(str(path), "a folder, and no file") from None
    except UnicodeDecodeError as error:
        raise ResultsError(str(path), f"not UTF-8 text: {error.reason}") from None
    try:
        data: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise ResultsError(str(path), f"not JSON: {error.msg} at line {error.lineno}") from None
    except RecursionError:
        raise ResultsError(str(path), "nested too deeply") from None
    return data


def write_results(results: Results, path: str | Path) -> None:
    """Write `results.json` whole or not at all."""
    text = json.dumps(as_data(results), indent=2, allow_nan=False)
    replace_text(Path(path), text + "\n")
