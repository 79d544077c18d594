"""Errors that a person caused and can mend: no traceback, one clear line, a way out."""


class UserError(Exception):
    """Something outside the code is wrong: the message names the field, the value, the way out."""

    exit_code = 2


class RecipeError(UserError):
    """A recipe, or an override of one, that cannot be run as it stands."""


class DataError(UserError):
    """Data that cannot be read, or that leave nothing to train on."""


class StageFailedError(UserError):
    """A stage stopped: its inputs were fine, its outcome was not."""

    exit_code = 1
    stage: str | None = None  # the name of its directory, where it ran in one


class StorageError(UserError):
    """A file could not be written: the disk is full, read-only, or not ours."""

    exit_code = 1


class DownloadError(UserError):
    """Something that is fetched once could not be had: no network, or not what was expected."""

    exit_code = 1


class StageStoppedError(UserError):
    """A stage was stopped from outside and left a checkpoint: the same command goes on from it."""

    exit_code = 75


class EndedByUser(SystemExit):
    """Ctrl-C where nothing was at work that could go on: the exit code, and not a word."""


def first_line(error: BaseException) -> str:
    """The part of a library's message that fits a line; the error's kind where it has none."""
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
