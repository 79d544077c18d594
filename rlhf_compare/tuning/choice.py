"""The rule of choice: declared in the recipe before the search, and the same for every method."""

from collections.abc import Callable, Sequence

from rlhf_compare.recipe_text.sweeps import TuningConfig
from rlhf_compare.sweeps.points import Point

JUDGE = "reward.held_out"


def rule(config: TuningConfig, behaviour: bool) -> str:
    """The rule in words.

    Args:
        behaviour: the task asks for one; else the judge's reward decides.
    """
    lost = "A setting of which a seed failed or collapsed is not chosen. "
    budget = f"Among the others whose mean KL is at most {config.kl_budget:g} nats per response"
    beyond = "If none is within the budget: the lowest KL."
    if not behaviour:
        return f"{lost}{budget}: the highest mean reward by the judge. {beyond}"
    return (
        f"{lost}{budget} and whose mean adoption is at least {config.adoption:g}: the highest "
        "efficiency (KL floor / KL); of equal ones the lowest KL. If none adopts so far: the "
        f"highest adoption within the budget. {beyond}"
    )


def choose(
    points: Sequence[Point], config: TuningConfig, behaviour: bool
) -> tuple[Point | None, str]:
    """The chosen setting of one method and why, in words; None where no setting was sound.

    Means are over seeds. A metric that was not measured loses to any number.
    """
    sound = [point for point in points if point.sound and point.kl is not None]
    if not sound:
        return None, "no setting was finished under every seed without collapse"
    within = [point for point in sound if _number(point.kl) <= config.kl_budget]
    if not within:
        why = f"no setting is within {config.kl_budget:g} nats; this one has the lowest KL"
        return min(sound, key=lambda point: _number(point.kl)), why
    if not behaviour:
        return _best(within, lambda p: p.mean(JUDGE)), "highest reward by the judge in the budget"
    adopted = [point for point in within if (point.adoption or 0.0) >= config.adoption]
    if adopted:
        why = f"highest efficiency at adoption of at least {config.adoption:g}"
        return _best(adopted, lambda p: p.efficiency), why
    why = f"none adopts to {config.adoption:g} within the budget; this one adopts furthest in it"
    return _best(within, lambda p: p.adoption), why


def _best(points: Sequence[Point], key: Callable[[Point], float | None]) -> Point:
    def rank(point: Point) -> tuple[float, float]:
        value = key(point)
        return (float("-inf") if value is None else value, -_number(point.kl))

    return max(points, key=rank)


def _number(value: float | None) -> float:
    return float("inf") if value is None else value


def edges(chosen: Point, points: Sequence[Point]) -> list[str]:
    """Sentences on the fields whose chosen value is the least or the largest that was tried."""
    found = []
    for field, value in chosen.values.items():
        tried = {point.values[field] for point in points}
        if len(tried) < 2 or not all(isinstance(one, int | float) for one in tried):
            continue
        ends = {min(tried): "lowest", max(tried): "highest"}
        if value in ends:
            found.append(
                f"Its {field} {value:g} is the {ends[value]} that was tried: a better one may lie "
                "beyond it"
            )
    return found
