"""Reference log-probabilities on disk: computed once, shared by every run on the same pairs."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
import trl
from datasets import Dataset
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rlhf_compare.runs.files import replacing
from rlhf_compare.runs.fingerprints import content_of

COLUMNS = ("ref_chosen_logps", "ref_rejected_logps")


@dataclass(frozen=True)
class CachedLogps:
    """log pi_ref of every chosen and rejected response (N,), summed over tokens, and the device
    seconds of the original computation."""

    chosen: Tensor
    rejected: Tensor
    seconds: float


@dataclass(frozen=True)
class ReferenceCache:
    """A directory of files named by what their numbers depend on.

    Attributes:
        directory: made when first needed.
        model_hash: of the reference's weights.
    """

    directory: Path
    model_hash: str

    def path(self, pairs: Dataset, settings: Sequence[object]) -> Path:
        """The file of these pairs, in this order, under these settings (precision and the like)."""
        versions = (torch.__version__, transformers.__version__, trl.__version__)
        digest = hashlib.sha256(f"{self.model_hash} {list(settings)} {versions}".encode())
        for column in ("prompt_ids", "chosen_ids", "rejected_ids"):
            for ids in pairs[column]:
                digest.update(b"%d:" % len(ids) + b",".join(b"%d" % i for i in ids))
        return self.directory / f"{digest.hexdigest()}.safetensors"

    def load(self, path: Path) -> CachedLogps | None:
        """What is in the file; None where there is none or it is damaged."""
        try:
            with safe_open(path, framework="pt") as stored:
                seconds = float(stored.metadata()["seconds"])
                chosen, rejected = (stored.get_tensor(name) for name in COLUMNS)
                return CachedLogps(chosen, rejected, seconds)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return None

    def save(self, path: Path, logps: CachedLogps) -> None:
        """Write whole or not at all: another run may read at the same time."""
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = dict(zip(COLUMNS, (logps.chosen, logps.rejected), strict=True))
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata={"seconds": repr(logps.seconds)})


def with_logps(pairs: Dataset, logps: CachedLogps) -> Dataset:
    """The pairs and their reference log-probabilities, as TRL's collator reads them."""
    for name, values in zip(COLUMNS, (logps.chosen, logps.rejected), strict=True):
        pairs = pairs.add_column(name, values.tolist())
    return pairs


def hash_weights(model: Path) -> str:
    """SHA-256 of a saved model's files."""
    return content_of(model)
