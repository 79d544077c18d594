"""What a file is by its first bytes, where its name says something else."""

import codecs
import gzip
import zlib
from pathlib import Path

from rlhf_compare.errors import DataError

_HEAD = 512
_GZIP = b"\x1f\x8b"
_LFS = b"version https://git-lfs.github.com/spec/"
# first bytes -> what the file is, and the way out
_MAGIC = (
    (_LFS, "a Git LFS pointer, not the data; fetch the file with git lfs pull"),
    (codecs.BOM_UTF32_LE, "UTF-32 text; write it as UTF-8 (iconv -f UTF-32 -t UTF-8)"),
    (codecs.BOM_UTF16_LE, "UTF-16 text; write it as UTF-8 (iconv -f UTF-16 -t UTF-8)"),
    (codecs.BOM_UTF16_BE, "UTF-16 text; write it as UTF-8 (iconv -f UTF-16 -t UTF-8)"),
    (b"PAR1", "a Parquet file; name it .parquet"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet; unpack it, or save it as CSV in UTF-8"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd; unpack it first"),
    (b"BZh", "compressed by bzip2; unpack it first"),
    (b"\xfd7zXZ", "compressed by xz; unpack it first"),
    (_GZIP, "compressed by gzip; add .gz to its name"),
)
_PAGES = (b"<!doctype html", b"<html", b"<?xml", b"<error", b"<head")


def is_packed(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def is_parquet(path: Path) -> bool:
    return path.name.lower().endswith(".parquet")


def refuse_other_kinds(path: Path) -> None:
    """Refuse a file that is no data in the format of its name.

    Raises:
        DataError: says what the file is, and the way out.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    plain = is_packed(path) and _is_utf8(head)
    if is_packed(path) and not plain:
        head = _unpacked_head(path)
    allowed = (b"PAR1",) if is_parquet(path) else ()
    for magic, words in _MAGIC:
        if head.startswith(magic) and magic not in allowed:
            raise DataError(f"{path}: this is {words}")
    if is_parquet(path):
        return
    start = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if start.startswith(_PAGES):
        raise DataError(
            f"{path}: this is an HTML or XML page, not the data (a login or an error page, "
            "perhaps); fetch the file again"
        )
    if plain:
        raise DataError(f"{path}: this is not compressed by gzip; take .gz off its name")
    if head[1:2] == b"\0" or head[:1] == b"\0":  # every other byte of Latin letters
        order = "BE" if head[:1] == b"\0" else "LE"
        raise DataError(
            f"{path}: this is no UTF-8 text (every other byte is NUL, as in UTF-16); write it as "
            f"UTF-8 (iconv -f UTF-16{order} -t UTF-8)"
        )


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return 0 < len(head) - error.start < 4  # the last character is cut
    return bool(head)


def _unpacked_head(path: Path) -> bytes:
    try:
        with gzip.open(path, "rb") as stream:
            return stream.read(_HEAD)
    except (OSError, EOFError, zlib.error):  # reading the rows says what is wrong
        return b""
