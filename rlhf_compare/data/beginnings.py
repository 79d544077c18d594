"""What a file is by its first bytes, where its name says something else."""

import codecs
import gzip
import zlib
from pathlib import Path

from rlhf_compare.errors import DataError

_HEAD = 512
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
    (b"\x1f\x8b", "compressed by gzip; add .gz to its name"),
)
_PAGES = (b"<!doctype html", b"<html", b"<?xml")


def refuse_other_kinds(path: Path) -> None:
    """Refuse a file that is no data in the format of its name.

    Raises:
        DataError: says what the file is, and the way out.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
    packed = path.name.endswith(".gz")
    if head.startswith(_LFS):
        packed = False
    elif packed:
        head = _unpacked_head(path)
    allowed = (b"PAR1",) if path.name.endswith(".parquet") else ()
    for magic, words in _MAGIC:
        if head.startswith(magic) and magic not in allowed:
            raise DataError(f"{path}: this is {words}")
    if path.name.endswith(".parquet"):
        return
    start = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if start.startswith(_PAGES):
        raise DataError(
            f"{path}: this is an HTML or XML page, not the data (a login or an error page, "
            "perhaps); fetch the file again"
        )
    if head[1:2] == b"\0" or head[:1] == b"\0":  # every other byte of Latin letters
        raise DataError(
            f"{path}: this is no UTF-8 text (every other byte is NUL, as in UTF-16); write it as "
            "UTF-8 (iconv -f UTF-16LE -t UTF-8)"
        )


def _unpacked_head(path: Path) -> bytes:
    try:
        with gzip.open(path, "rb") as stream:
            return stream.read(_HEAD)
    except (OSError, EOFError, zlib.error):  # reading the rows says what is wrong
        return b""
