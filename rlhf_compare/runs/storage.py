"""What reached the disk, and what is said when the disk takes no more."""

import errno
import os
import shutil
from pathlib import Path

from rlhf_compare.errors import StorageError

_REFUSED = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "no permission to write",
    errno.EPERM: "no permission to write",
    errno.EIO: "the disk failed",
    errno.EFBIG: "the file is larger than the file system or a limit allows",
}

# what writers without the system's number say of a file that was cut short; torch's says it on the
# way out of a write that failed
_CUT_SHORT = ("PytorchStreamWriter failed writing", "unexpected pos")


def sync(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def size_of(directory: Path) -> int:
    """Bytes of the files below a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def storage_fault(error: BaseException, path: Path, what: str, needed: int = 0) -> StorageError:
    """The error that says what could not be written where, why, and how much room there is.

    Args:
        needed: bytes; 0 = not known.
    """
    number = getattr(error, "errno", None)
    named = getattr(error, "filename", None)
    text = str(error).strip().split("\n")[0]
    full = os.strerror(errno.ENOSPC) in text or any(words in text for words in _CUT_SHORT)
    reason = _REFUSED.get(errno.ENOSPC if full else number or 0) or text or type(error).__name__
    try:
        there = next(p for p in (path, *path.absolute().parents) if p.exists())
        room = f", {shutil.disk_usage(there).free:,} bytes are free"
    except (OSError, StopIteration):
        room = ""
    need = f"; about {needed:,} bytes are needed" if needed else ""
    return StorageError(
        f"{named or path}: {what}: {reason}{need}{room}; make room or give another run root with "
        "--runs, then give the same command again"
    )


def is_storage_fault(error: BaseException) -> bool:
    """Whether an error, or what it came from, is the disk's refusal to take a file."""
    seen: BaseException | None = error
    while seen is not None:
        number = getattr(seen, "errno", None)
        # the writers of torch and safetensors keep the system's words and lose its number
        if number in _REFUSED and isinstance(seen, OSError):
            return True
        text = str(seen)
        if os.strerror(errno.ENOSPC) in text or any(words in text for words in _CUT_SHORT):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
