"""One recipe under two sets of seeds. MADE-UP NUMBERS, used by tests alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from rlhf_compare.reporting.schema import Results
from tests.reporting.conftest import changed

FIRST, FRESH = [0, 1, 2], [5, 6, 7]
ADOPTION, KL = "adoption.exact", "kl_to_reference.exact"


def seen(by_seed: Sequence[float], half_width: float = 0.05) -> dict[str, Any]:
    """An estimate whose seeds have these means."""
    mean = sum(by_seed) / len(by_seed)
    return {
        "mean": mean,
        "low": mean - half_width,
        "high": mean + half_width,
        "n": 64,
        "seeds": len(by_seed),
        "by_seed": list(by_seed),
    }


def under(
    results: Results,
    seeds: Sequence[int],
    ppo: Mapping[str, Sequence[float]],
    dpo: Mapping[str, Sequence[float]] | None = None,
) -> Results:
    """The results under other seeds: metric path -> the number of each seed."""
    changes: dict[str, Any] = {"provenance.seeds": list(seeds)}
    for name, numbers in {"ppo": ppo, "dpo": dpo or {}}.items():
        changes |= {f"methods.{name}.{path}": seen(values) for path, values in numbers.items()}
    return changed(results, changes)
