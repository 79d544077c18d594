"""Whether two files are one experiment under other seeds: what differs is refused by its name."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rlhf_compare.errors import UserError
from rlhf_compare.methods import METHODS
from rlhf_compare.reporting.comparisons import SFT
from rlhf_compare.reporting.schema import Results

_NO_NUMBER = ("name", "tracking", "tuning", "frontier")  # sections that change no measured number
_UNSET = "(not set)"


def require_other_seeds(
    before: Iterable[int], fresh: Iterable[int], before_file: Path, fresh_file: Path
) -> None:
    """Raises UserError where a seed is in both: a run cannot confirm itself."""
    seen, shared = set(before), sorted(set(before) & set(fresh))
    if shared:
        after = max(seen) + 1
        free = " ".join(str(seed) for seed in range(after, after + 5))
        raise UserError(
            f"{fresh_file}: seed {shared[0]} is in {before_file} too, so it is not fresh; compare "
            f'under others, for instance --seeds "{free}"'
        )


def require_one_recipe(
    before: Results, fresh: Results, before_file: Path, fresh_file: Path
) -> None:
    """Raises UserError with the first field that differs among what decides a number: data and
    task, model, every stage, evaluation, and the settings of the methods that both measured."""
    names = [name for name in before.methods if name in fresh.methods]
    if set(names) <= {SFT}:
        raise UserError(f"{fresh_file}: no method in common with {before_file} but the SFT model")
    one, other = (_flat(_deciding(results, names)) for results in (before, fresh))
    for field in {**one, **other}:
        values = one.get(field, _UNSET), other.get(field, _UNSET)
        if values[0] != values[1]:
            raise UserError(
                f"{fresh_file}: {field} is {values[1]}, in {before_file} {values[0]}: fresh seeds "
                "of another recipe replicate nothing; compare both with one recipe"
            )
    if before.provenance.data_sha256 != fresh.provenance.data_sha256:
        raise UserError(
            f"{fresh_file}: its data are not those of {before_file} (provenance.data_sha256); "
            "compare both on the same files"
        )


def _deciding(results: Results, names: list[str]) -> dict[str, Any]:
    """The recipe without the columns that only one file has."""
    sections = results.recipe.sections
    variants = sections.get("variants")
    chosen = variants if isinstance(variants, dict) else {}
    kept = {name: chosen[name] for name in names if name in chosen}
    bases = {one.get("method") for one in kept.values() if isinstance(one, dict)}
    needed = {*names, *bases}
    found = {
        name: value
        for name, value in sections.items()
        if name not in (*_NO_NUMBER, "variants") and (name not in METHODS or name in needed)
    }
    return {**found, "variants": kept}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
