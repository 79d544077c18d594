"""The files of a folder that are one data set: ``train-00000-of-00002.parquet`` and its like."""

import re
from collections.abc import Sequence
from pathlib import Path

from pyarrow.parquet import read_schema

from rlhf_compare.data.beginnings import is_parquet
from rlhf_compare.data.lines import kind_of
from rlhf_compare.errors import DataError

SPLITS = ("train", "test", "validation", "valid", "val", "dev", "eval")
_NUMBERED = re.compile(r"(\d{3,})-of-(\d{3,})")
_NUMBERS = re.compile(r"[\W_]*\d+")
_WORD = re.compile(r"[a-z]+")


def shards_of(folder: Path, split: str) -> list[Path]:
    """The files of one split below a folder, in the order of their names.

    A file belongs to a split that its name, or its folder's, says; files that say none belong to
    all. Hidden folders (a download's cache) are left out.

    Raises:
        DataError: there is none, they are of two kinds or of two data sets, or one is missing.
    """
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and not _is_hidden(p, folder)]
    kinds = {path: _kind(path) for path in files}
    found = [path for path in files if kinds[path] is not None]
    lists = [path for path in found if kinds[path] != ".json"]
    found = lists or found  # a .json beside shards describes them
    if not found:
        raise DataError(
            f"data.path: {folder} is a folder, but none that save_to_disk wrote, and it holds no "
            ".parquet, .jsonl, .json, .csv or .tsv file"
        )
    named = {path: _split_in(path.relative_to(folder)) for path in found}
    whole = {path: _stem(path) for path in found if _split_in(Path(path.name)) is not None}
    exact = [name for name in whole.values() if split in (name, _NUMBERS.sub("", name))]
    chosen = [path for path in found if whole.get(path) in exact]
    chosen = chosen or [path for path in found if named[path] == split]
    chosen = chosen or [path for path in found if named[path] is None]
    if not chosen:
        known = sorted({whole.get(path) or str(named[path]) for path in found})
        raise DataError(f"data.split: {folder} has no split {split!r}; it has {', '.join(known)}")
    mixed = sorted({whole[path] for path in chosen if path in whole})
    if len({_NUMBERS.sub("", name) for name in mixed}) > 1:
        raise DataError(
            f"data.split: {folder} has several splits {split}: {', '.join(mixed)}; name one of them"
        )
    _check(folder, chosen, {kinds[path] for path in chosen})
    return chosen


def check_columns(files: Sequence[Path]) -> None:
    """Assert that Parquet files have the same columns.

    Raises:
        DataError: names two that do not, and their columns.
    """
    first = set(read_schema(files[0]).names)
    for path in files[1:]:
        names = set(read_schema(path).names)
        if names != first:
            raise DataError(
                f"{files[0].parent}: {files[0].name} and {path.name} have other columns "
                f"({', '.join(sorted(first ^ names))}); name them one by one in data.sources"
            )


def _check(folder: Path, chosen: list[Path], kinds: set[str | None]) -> None:
    if len(kinds) > 1:
        names = ", ".join(path.name for path in chosen[:4])
        raise DataError(f"data.path: {folder} holds files of several kinds ({names}); name one")
    parents = sorted({str(path.parent) for path in chosen})
    if len(parents) > 1:
        raise DataError(
            f"data.path: {folder} holds several data sets; name one of {', '.join(parents[:6])}"
        )
    numbers = [_NUMBERED.search(path.name) for path in chosen]
    totals = {(m.string[: m.start()], int(m[2])) for m in numbers if m}
    for stem, total in sorted(totals):
        there = {int(m[1]) for m in numbers if m and m.string.startswith(stem)}
        lost = sorted(set(range(total)) - there)
        if lost:
            raise DataError(
                f"data.path: {folder} has {total - len(lost)} of {total} files {stem}*; number "
                f"{lost[0]} is missing; fetch it"
            )


def _kind(path: Path) -> str | None:
    return ".parquet" if is_parquet(path) else kind_of(path)


def _split_in(path: Path) -> str | None:
    """The split that a name says; the file's own first, then its folders'."""
    for part in reversed(path.parts):
        spoken = _WORD.findall(part.lower())
        found = next((word for word in spoken if word in SPLITS), None)
        if found:
            return str(found)
    return None


def _stem(path: Path) -> str:
    """The name of a file's split, of two words perhaps: ``train_prefs-00000-of-00001.parquet``."""
    name = path.name.split(".")[0]
    return _NUMBERED.split(name)[0].rstrip("-_")


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
