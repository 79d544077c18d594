"""A frontier made by hand: MADE-UP NUMBERS, used by these tests alone."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rlhf_compare.evaluation.measure import Measurement
from rlhf_compare.frontier.over_optimisation import JUDGE, KL, PROXY, over_optimisation
from rlhf_compare.frontier.results import Frontier, pairs_of
from rlhf_compare.frontier.yardsticks import best_of_n, optimum
from rlhf_compare.reporting.results import parse
from rlhf_compare.sweeps.points import Point
from tests.sweeps.points import ORIGIN, estimate, point

BASE_RATES = [0.02, 0.04, 0.06]


def settings(
    distances: Sequence[float],
    judge: Callable[[float], float],
    proxy: Callable[[float], float],
    seeds: int = 3,
    noise: float = 0.05,
    draw: int = 0,
) -> list[dict[int, Measurement]]:
    """One method at these square roots of KL, 40 prompts, whose rewards follow two curves."""
    random = np.random.default_rng(draw)
    found = []
    for distance in distances:
        by_seed = {}
        for seed in range(seeds):
            columns = {
                KL: np.full(40, distance**2),
                PROXY: proxy(distance) + noise * random.standard_normal(40),
                JUDGE: judge(distance) + noise * random.standard_normal(40),
            }
            by_seed[seed] = Measurement(
                per_prompt={name: column.tolist() for name, column in columns.items()}, answers=[]
            )
        found.append(by_seed)
    return found


def curve(
    method: str, knob: str, ahead: float = 0.0, seeds: int = 3, judge: float = 4.0
) -> list[Point]:
    """Adoption that rises with KL and, from 2 nats on, is ahead by so much."""
    points = []
    for place, kl in enumerate((1.5, 2.5, 4.0, 6.0, 9.0)):
        adoption = 1.0 - math.exp(-kl / 3.0)
        luck = (-0.002, 0.0, 0.002) if method == "ppo" else (0.001, -0.002, 0.001)
        shifts = list(luck[:seeds])
        points.append(
            point(
                method,
                {knob: 1.0 / (place + 1)},
                [adoption * (1.0 - 0.5 * ahead) + ahead + shift for shift in shifts],
                [kl + 0.1 * shift for shift in shifts],
                reward__held_out=[judge * adoption - 0.02 * kl**2 + s for s in shifts],
                reward__proxy=[0.8 * kl + shift for shift in shifts],
            )
        )
    return points


def frontier(points: Sequence[Point], **changes: Any) -> Frontier:
    methods = list(dict.fromkeys(one.method for one in points))
    knobs = {one.method: next(iter(one.values)) for one in points}
    seeds = max(len(one.seeds) for one in points)
    found = over_optimisation(
        settings((1.0, 2.0, 3.0), lambda d: 2 * d - 0.5 * d * d, lambda d: d, seeds)
    )
    values = {
        "schema_version": 1,
        "recipe": "made_up",
        "origin": ORIGIN.model_copy(
            update={"seeds": list(range(100, 100 + seeds)), "prompt_side": "judging"}
        ),
        "behaviour": True,
        "labels": {name: name.upper() for name in knobs},
        "knobs": knobs,
        "own": dict.fromkeys(methods, 0.5),
        "sft": {
            "adoption.exact": estimate([0.04]),
            "reward.proxy": estimate([-1.0]),
            "reward.held_out": estimate([-1.0]),
        },
        "shared": {"sft": 10.0, "reward": 5.0},
        "points": list(points),
        "yardstick": best_of_n(BASE_RATES),
        "reward_gap": [2.0, 3.0],
        "optimum": [{"method": "ppo", **optimum(BASE_RATES, 2.5, beta)} for beta in (0.5, 1.0)],
        "over_optimisation": {methods[0]: found},
        "pairs": pairs_of(points),
        "training": [
            {
                "method": name,
                "seed": seed,
                "kl": [1.0, 4.0 + seed, 3.5],
                "adoption": [0.1, 0.6, 0.8],
            }
            for name in methods
            for seed in (0, 1)
        ],
        "reasons": {},
        **changes,
    }
    return parse(Frontier, values)
