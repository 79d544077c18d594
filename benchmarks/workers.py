"""One run of one system, in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.environment import clean_environment
from benchmarks.summary import Run

_ROOT = Path(__file__).resolve().parents[1]


def run_worker(
    name: str, command: Sequence[str], result: Path, threads: int, tight: bool = False
) -> Run:
    """Run ``command`` and read the JSON that it leaves in ``result``.

    Args:
        name: of the system, for messages.
        threads, tight: see :func:`clean_environment`.

    Raises:
        SystemExit: the worker failed; the end of its output was printed.
    """
    done = subprocess.run(
        command,
        cwd=_ROOT,  # where -m finds this package
        env=clean_environment(threads, tight),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode or not result.is_file():
        print(done.stdout[-4000:], file=sys.stderr)
        raise SystemExit(f"{name} ended with status {done.returncode}")
    return dict(json.loads(result.read_text(encoding="utf-8")))
