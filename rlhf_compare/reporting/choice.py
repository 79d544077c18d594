"""How the settings of the columns were found, as far as the recipe tells."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from rlhf_compare.reporting.comparisons import contenders
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.recipe_facts import section
from rlhf_compare.reporting.schema import Results

Grid = Mapping[str, Sequence[Any]]


def choice_caveats(results: Results) -> list[str]:
    """One sentence on the columns whose settings are among those of the declared search, one on the
    others. That a search ran, only its own log can say."""
    grids = {name: _grid(results, name) for name in contenders(results)}
    searched = [name for name, grid in grids.items() if grid and _is_in(results, name, grid)]
    by_hand = [name for name in grids if name not in searched]
    declared = {name: grids[name] for name in searched}
    return [*_searched(results, declared), *_by_hand(results, by_hand)]


def _grid(results: Results, name: str) -> Grid:
    """The values that the search of this column tries; empty for a variant, which has none."""
    grids = section(results, "tuning").get("grids")
    found = grids.get(name) if isinstance(grids, dict) else None
    if not isinstance(found, dict) or not all(isinstance(one, list) for one in found.values()):
        return {}
    return found


def _is_in(results: Results, name: str, grid: Grid) -> bool:
    own = section(results, name)
    return all(
        field in own and any(_number(own[field]) == _number(value) for value in values)
        for field, values in grid.items()
    )


def _number(value: Any) -> Any:
    """YAML reads 1e-3 as text."""
    try:
        return float(value) if isinstance(value, str | int | float) else value
    except ValueError:
        return value


def _searched(results: Results, grids: Mapping[str, Grid]) -> list[str]:
    if not grids:
        return []
    size = max(prod(map(len, grid.values())) for grid in grids.values())
    tried = "; ".join(f"{label_of(results, name)} {_words(grid)}" for name, grid in grids.items())
    judges = "which judge nothing here"
    if section(results, "evaluation").get("prompts") == "tuning":
        judges = "which judge here too, so that these numbers flatter the chosen settings"
    return [
        f"Settings of {_listed(results, list(grids))} are among those of the search that the "
        f"recipe declares, {size} settings each ({tried}), on the tuning prompts, {judges}. "
        "Whether it ran, what it chose and what it cost is in its own log, which rlhf-compare tune "
        f"writes (reports/{results.recipe.name}/tuning/tuning.md), and in no number here."
    ]


def _by_hand(results: Results, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    return [
        f"Settings of {_listed(results, names)} were chosen by hand: the recipe declares no search "
        "that holds them. How many were tried, and on which prompts, is not recorded."
    ]


def _words(grid: Grid) -> str:
    return ", ".join(f"{field} {' / '.join(map(str, values))}" for field, values in grid.items())


def _listed(results: Results, names: Sequence[str]) -> str:
    *most, last = (label_of(results, name) for name in names)
    return f"{', '.join(most)} and {last}" if most else last
