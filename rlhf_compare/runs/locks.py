"""One process at a time writes a run directory, as many as like read it; of a cache, processes wait
for each other.

The locks are the operating system's (``flock``): they fall when the process ends, however it ends,
so there is no stale lock to remove by hand.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rlhf_compare.errors import UserError

LOCK = "lock"  # in every run directory; holds the id of the process that last wrote there

_NOT_SUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
_held: dict[Path, int] = {}  # of this process: run directory -> file descriptor
_written: set[Path] = set()  # of these, the directories that this process writes now


def claim(directory: Path) -> None:
    """Hold ``directory``, which is made where it is missing, for writing.

    Raises:
        UserError: another process writes or reads it, or this one writes it already.
    """
    directory = directory.absolute()
    if directory in _written:
        raise UserError(f"{directory}: this process runs the stage already; wait for it to end")
    _take(directory, fcntl.LOCK_EX)
    _written.add(directory)


def share(directory: Path) -> None:
    """Hold ``directory`` for reading until the process ends: what this process will go on to read
    must not be replaced under it. Nothing where there is no lock to hold.

    Raises:
        UserError: another process writes there.
    """
    directory = directory.absolute()
    _written.discard(directory)
    if (directory / LOCK).is_file():
        with suppress(PermissionError):  # somebody else's finished run may still be read
            _take(directory, fcntl.LOCK_SH)


def drop(directory: Path) -> None:
    """Hold ``directory`` no longer."""
    directory = directory.absolute()
    _written.discard(directory)
    if directory in _held:
        os.close(_held.pop(directory))


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Inside, no other process is inside for the same directory, which is made where it is missing;
    a process that comes waits. For caches, whose work two processes may want at once."""
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise
        yield
    finally:
        os.close(descriptor)


def move(old: Path, new: Path) -> None:
    """Rename a directory that is held; it stays held under its new name."""
    old, new = old.absolute(), new.absolute()
    os.rename(old, new)
    if old in _held:
        _held[new] = _held.pop(old)
    if old in _written:
        _written.remove(old)
        _written.add(new)


def _take(directory: Path, kind: int) -> None:
    while True:
        descriptor = _held.get(directory)
        if descriptor is None or not _is_at(descriptor, directory):
            if descriptor is not None:
                os.close(_held.pop(directory))
            descriptor = _open(directory, kind)
            _held[directory] = descriptor
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            holders = _holders(descriptor) or _last_writer(directory)
            raise UserError(
                f"{directory}: in use by {holders}; wait until it ends, stop it, or give another "
                "run root with --runs"
            ) from None
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise
        if _is_at(descriptor, directory):  # not moved away between opening and locking
            break
    if kind == fcntl.LOCK_EX:
        (directory / LOCK).write_text(f"{os.getpid()}\n")


def _open(directory: Path, kind: int) -> int:
    if kind == fcntl.LOCK_SH:
        return os.open(directory / LOCK, os.O_RDONLY)
    while True:
        directory.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another process moved the directory away just now
            return os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o644)


def _is_at(descriptor: int, directory: Path) -> bool:
    try:
        there = os.stat(directory / LOCK)
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _holders(descriptor: int) -> str:
    """Processes that hold the file, as Linux lists them; empty where it does not say."""
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return ""
    inode, ours = os.fstat(descriptor).st_ino, str(os.getpid())
    found = {
        fields[4]
        for fields in map(str.split, lines)
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].endswith(f":{inode}")
    }
    found -= {ours, "0", "-1"}  # 0 and -1: a process of another container
    return f"process {', '.join(sorted(found))}" if found else ""


def _last_writer(directory: Path) -> str:
    try:
        writer = (directory / LOCK).read_text().strip()
    except OSError:
        writer = ""
    return f"process {writer}" if writer.isdigit() else "another process"


def _forget() -> None:
    """In a forked child: a worker that outlives its parent must not go on holding the lock."""
    for descriptor in _held.values():
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()
    _written.clear()


os.register_at_fork(after_in_child=_forget)
