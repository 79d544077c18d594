"""What the reward doctor found, as a table and as the figure of its calibration."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from rlhf_compare.reporting.drawing import BLACK, GREY, canvas, finish
from rlhf_compare.reporting.numbers import format_numbers
from rlhf_compare.reporting.schema import Check, Results, RewardModel
from rlhf_compare.reporting.tables import ABSENT, Table

_LARGEST_MARKER = 260.0  # points squared


def doctor_table(reward_models: Sequence[RewardModel], overruled: str | None = None) -> Table:
    """The checks of the first seed's reward model, and the verdicts of all seeds.

    Args:
        reward_models: one a seed.
        overruled: says that a method was trained against a model that failed.
    """
    first, *others = reward_models
    rows = []
    for check in first.checks:
        verdicts = [check.verdict, *(_verdict(other, check.name) for other in others)]
        label = check.name.replace("_", " ")
        rows.append((label, _value(check), _summary(verdicts), check.sentence))
    seeds = ", ".join(str(model.seed) for model in reward_models)
    rule = "'fail' keeps PPO from starting unless reward.accept_failed_doctor is true."
    note = f"Held-out prompts; brackets hold 95 % intervals. {overruled or rule}"
    if others:
        note += f" Numbers are of seed {first.seed}, verdicts of seeds {seeds} in this order."
    return Table(header=("check", "value", "verdict", "what it says"), rows=tuple(rows), note=note)


def _summary(verdicts: Sequence[str]) -> str:
    """Said once where all seeds agree, else one verdict a seed."""
    if len(verdicts) > 1 and len(set(verdicts)) == 1:
        return f"{verdicts[0]}, all {len(verdicts)} seeds"
    return " / ".join(verdicts)


def _verdict(model: RewardModel, name: str) -> str:
    return next((c.verdict for c in model.checks if c.name == name), ABSENT)


def _value(check: Check) -> str:
    if check.value is None:
        return ABSENT
    if check.low is None or check.high is None:
        return format_numbers([check.value], "number")[0]
    value, low, high = format_numbers([check.value, check.low, check.high], "share")
    return f"{value} [{low}, {high}]"


def calibration(results: Results) -> Figure | None:
    """What the first seed's reward model claims of held-out pairs, and what it reaches."""
    bins = results.reward_models[0].calibration if results.reward_models else []
    if not bins:
        return None
    total = sum(b.pairs for b in bins)
    figure, axes = canvas()
    axes.plot([0.5, 1.0], [0.5, 1.0], color=GREY, linewidth=1.4, label="claims = reaches")
    x, y = [b.confidence for b in bins], [b.accuracy for b in bins]
    sizes = [max(12.0, _LARGEST_MARKER * b.pairs / total) for b in bins]
    axes.plot(x, y, color=BLACK, linewidth=0.8, zorder=3)
    axes.scatter(x, y, s=sizes, color=BLACK, zorder=4, label="pairs (area: how many)")
    axes.set_xlim(0.48, 1.02)
    axes.set_ylim(min(0.45, min(y) - 0.05), 1.05)
    axes.set_xlabel("confidence: sigmoid of the difference of scores")
    axes.set_ylabel("accuracy (share of pairs)")
    claimed = sum(b.pairs * b.confidence for b in bins) / total
    reached = sum(b.pairs * b.accuracy for b in bins) / total
    takeaway = f"The reward model claims {claimed:.2f} and reaches {reached:.2f} on {total:,} pairs"
    return finish(figure, axes, takeaway)
