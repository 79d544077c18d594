"""The files of a folder that are one data set: ``train-00000-of-00002.parquet`` and its like."""

import re
from pathlib import Path

from rlhf_compare.data.lines import kind_of
from rlhf_compare.errors import DataError

SPLITS = ("train", "test", "validation", "valid", "val", "dev", "eval")
_NUMBERED = re.compile(r"(\d{3,})-of-(\d{3,})")
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
    known = sorted({name for name in named.values() if name is not None})
    chosen = [path for path in found if named[path] in (None, split)]
    if split in known:
        chosen = [path for path in found if named[path] == split]
    if not chosen:
        raise DataError(f"data.split: {folder} has no split {split!r}; it has {', '.join(known)}")
    _check(folder, chosen, {kinds[path] for path in chosen})
    return chosen


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
    return ".parquet" if path.name.lower().endswith(".parquet") else kind_of(path)


def _split_in(path: Path) -> str | None:
    """The split that a name says; the file's own first, then its folders'."""
    for part in reversed(path.parts):
        spoken = _WORD.findall(part.lower())
        found = next((word for word in spoken if word in SPLITS), None)
        if found:
            return found
    return None


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
