"""Points of a sweep made by hand: MADE-UP NUMBERS, used by tests alone."""

from collections.abc import Sequence
from typing import Any

from rlhf_compare.reporting.method_schema import Estimate, Runs
from rlhf_compare.sweeps.grid import Setting
from rlhf_compare.sweeps.points import Origin, Point, Spent


def estimate(by_seed: Sequence[float], half_width: float = 0.01) -> Estimate:
    mean = sum(by_seed) / len(by_seed)
    return Estimate(
        mean=mean,
        low=mean - half_width,
        high=mean + half_width,
        n=40,
        seeds=len(by_seed),
        units=40,
        by_seed=list(by_seed),
    )


def point(
    method: str,
    values: dict[str, Any],
    adoption: float | Sequence[float] | None,
    kl: float | Sequence[float] | None,
    floor: float = 2.0,
    failed: int = 0,
    collapsed: int = 0,
    **more: float | Sequence[float],
) -> Point:
    """One seed, or as many as ``kl`` has; ``more``: metric path with __ for its dots -> value."""
    kls = [kl] if isinstance(kl, float) else list(kl or [])
    given: dict[str, Any] = {
        "adoption.exact": adoption,
        "kl_to_reference.exact": kls or None,
        "kl_to_reference.floor": floor,
        **{path.replace("__", "."): value for path, value in more.items()},
    }
    seeds = list(range(100, 100 + len(kls)))
    name = "_".join(
        [method, *(f"{v:g}".replace(".", "p").replace("-", "m") for v in values.values())]
    )
    return Point(
        name=name,
        method=method,
        values=values,
        metrics={
            path: None
            if value is None
            else estimate([value] * max(len(kls), 1) if isinstance(value, float) else value)
            for path, value in given.items()
        },
        seeds=seeds,
        runs=Runs(completed=len(seeds), failed=failed, collapsed=collapsed),
        seconds=Spent(training=3.0, measuring=1.0) if seeds else None,
    )


def settings(points: Sequence[Point]) -> list[Setting]:
    return [Setting(name=p.name, method=p.method, values=p.values) for p in points]


ORIGIN = Origin(
    command="rlhf-compare tune",
    commit="0" * 40,
    dirty=False,
    device="a CPU",
    created="2026-01-01T00:00:00+00:00",
    seeds=[100],
    prompts=40,
    prompt_side="tuning",
)
