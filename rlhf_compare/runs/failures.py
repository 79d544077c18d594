"""What is raised, and left on the disk, when a stage ends in an error."""

import traceback

from rlhf_compare.errors import (
    StageFailedError,
    StageStoppedError,
    StorageError,
    UserError,
    first_line,
)
from rlhf_compare.runs.directory import ERROR, RunDirectory
from rlhf_compare.runs.storage import is_storage_fault, storage_fault


def failure_of(error: Exception, label: str, directory: RunDirectory, shared: bool) -> Exception:
    """What to raise for a stage's error: one line, with the file that holds the traceback.

    Args:
        label: the name of the stage's directory.
        shared: by all methods and seeds: where a person has to mend the recipe or the data of
            such a stage, nothing else can go on.
    """
    if isinstance(error, StorageError | StageStoppedError):
        return error
    if shared and isinstance(error, UserError) and not isinstance(error, StageFailedError):
        return error
    if is_storage_fault(error):
        return storage_fault(error, directory.path, f"{label} could not write")
    file = directory.path / ERROR
    text = "".join(traceback.format_exception(error))
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as refused:
        return storage_fault(refused, file, f"{label} failed and could not say why: {error}")
    what = str(error)
    if not isinstance(error, UserError):
        line, kind = first_line(error), type(error).__name__
        what = kind if line == kind else f"{kind}: {line}"
    failure = StageFailedError(f"{what}; the traceback is in {file}")
    failure.stage = label
    if isinstance(error, UserError):
        failure.exit_code = error.exit_code
    return failure


def why_not(method: str, seed: int, error: StageFailedError) -> str:
    """Why there are no numbers of a method under a seed: another stage may have failed before it,
    or its measurement after it."""
    if error.stage in (None, method, f"{method}-{seed}"):
        return str(error)
    if error.stage == f"evaluate-{method}-{seed}":
        return f"it was trained, but {error.stage} failed: {error}"
    return f"{error.stage} failed first, and {method} needs it: {error}"
