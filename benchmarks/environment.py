"""The other side's Python environment: made once, used again."""

import os
import subprocess
import sys
import time
from pathlib import Path

# The last TRL that has PPO, and the transformers of its time.
REQUIREMENTS = ("trl==1.12.0", "transformers==5.22.2", "torch==2.13.0")


def ensure_environment(directory: Path) -> Path:
    """The interpreter of an environment that holds ``REQUIREMENTS`` and not this package.

    Raises:
        subprocess.CalledProcessError: pip or venv failed; their output was printed.
    """
    python = directory / "bin" / "python"
    stamp = directory / "requirements.txt"
    wanted = "\n".join(REQUIREMENTS) + "\n"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        print(f"{directory}: has {', '.join(REQUIREMENTS)}")
        return python
    print(f"{directory}: installing {', '.join(REQUIREMENTS)} and what they need (once) ...")
    start = time.monotonic()
    environment = clean_environment()
    subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(directory)], check=True, env=environment
    )
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *REQUIREMENTS], check=True, env=environment)
    stamp.write_text(wanted, encoding="utf-8")  # last, so that a broken install is not used
    print(f"{directory}: ready after {time.monotonic() - start:.0f} s")
    return python


# glibc keeps freed memory, and how much depends on chance: one run's peak was 1.4 times another's.
# With these settings glibc gives blocks back at once, so that resident memory is the live memory.
# That costs time.
_TIGHT = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "131072",
}


def clean_environment(threads: int | None = None, tight: bool = False) -> dict[str, str]:
    """This process's environment, less what would let one side see the other or the network.

    Args:
        threads: of matrix products; None = the library's choice.
        tight: freed memory goes back at once; for measuring memory, not time.
    """
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    environment |= {
        "HF_HUB_OFFLINE": "1",
        "WANDB_MODE": "disabled",
        "TOKENIZERS_PARALLELISM": "false",
        "CUDA_VISIBLE_DEVICES": "",  # both sides on the processor
        "TRL_EXPERIMENTAL_SILENCE": "1",
    }
    if threads is not None:
        environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    return environment | (_TIGHT if tight else {})
