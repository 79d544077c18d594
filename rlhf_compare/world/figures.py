"""The figures of the oracle's page, SVG, drawn with the report's canvas and palette."""

from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from rlhf_compare.reporting.drawing import BLACK, GREY, PHASE_COLOURS, canvas, finish, panels
from rlhf_compare.world.displacement import TABLE
from rlhf_compare.world.names import DPO_NAME, PPO_NAME

_PPO, _DPO, _OTHER = (PHASE_COLOURS[name] for name in ("generate", "update", "evaluate"))
_LOOKS = {
    PPO_NAME: (_PPO, "-", "PPO"),
    DPO_NAME: (_DPO, "-", "DPO, drawn labels"),
    "deterministic": (_OTHER, "--", "DPO, deterministic labels"),
}


def draw(answers: dict[str, Any], directory: Path) -> list[str]:
    """Write every figure into ``directory``; returns their names without the ending."""
    figures = {
        "drift": drift(answers),
        "coverage": coverage(answers),
        "frontier": frontier(answers),
        "displacement": displacement(answers),
    }
    for name, figure in figures.items():
        # the same numbers give the same bytes
        with rc_context({"svg.hashsalt": name}):
            figure.savefig(directory / f"{name}.svg", metadata={"Date": None, "Creator": None})
    return list(figures)


def drift(answers: dict[str, Any]) -> Figure:
    """KL and the spread of the log-ratios against updates, one line a world."""
    figure, (left, right) = panels(2)
    worlds = answers["worlds"]
    for name, (colour, style, label) in _LOOKS.items():
        for place, world in enumerate(worlds):
            points = world["drift"]["paths"][name]
            updates = [point["updates"] / points[-1]["updates"] for point in points]
            shown = label if place == 0 else None
            for axes, key in ((left, "kl"), (right, "spread")):
                values = [point[key] for point in points]
                axes.plot(updates, values, style, color=colour, linewidth=1.3, label=shown)
                shown = None
    optimum = sum(world["drift"]["optimum_kl"] for world in worlds) / len(worlds)
    left.axhline(optimum, color=BLACK, linewidth=0.9, linestyle=":", label="optimum (mean)")
    left.set_ylabel("KL to the reference (nats per response)")
    right.set_ylabel("spread of the log-ratios (nats)")
    for axes in (left, right):
        axes.set_xlabel("share of training")
        axes.set_xlim(0.0, 1.0)
        axes.set_ylim(bottom=0.0)
    title = "With deterministic labels DPO's log-ratios grow on"
    return finish(figure, left, title, columns=2, width=36)


def coverage(answers: dict[str, Any]) -> Figure:
    """Mass on the responses that no pair shows, a dot a world."""
    figure, axes = canvas(3.2)
    labels = {
        "reference": ("reference, before", BLACK),
        "optimum": ("optimum", GREY),
        PPO_NAME: ("PPO", _PPO),
        DPO_NAME: ("DPO", _DPO),
    }
    for row, (name, (_, colour)) in enumerate(labels.items()):
        values = [world["coverage"][name]["mass"] for world in answers["worlds"]]
        axes.plot(values, [row] * len(values), "o", color=colour, clip_on=False)
    axes.set_yticks(range(len(labels)), [label for label, _ in labels.values()])
    axes.invert_yaxis()
    axes.set_xlim(0.0, 1.0)
    axes.set_xlabel("probability of responses that no pair shows (a dot: one world)")
    axes.set_title("Mass on responses that no pair shows", fontsize=10.5, loc="left")
    return figure


def frontier(answers: dict[str, Any]) -> Figure:
    """Reward against KL: the optimum for every beta, best of n, and what the trainers reached.

    The first world alone: each has a frontier of its own.
    """
    figure, axes = canvas()
    world = answers["worlds"][0]
    curve = sorted(world["frontier"], key=lambda point: point["kl"])
    x, y = ([point[key] for point in curve] for key in ("kl", "reward"))
    axes.plot(x, y, "-", color=BLACK, linewidth=1.4, label="optimum for every beta")
    rows = world["best_of_n"]
    rewards = [row["reward"] for row in rows]
    axes.plot([row["kl"] for row in rows], rewards, "s", color=_OTHER, label="best of n, exact")
    bounds = [row["bound"] for row in rows]
    axes.plot(bounds, rewards, "x", color=GREY, label="best of n, KL by the bound")
    for row in rows[:5]:
        axes.annotate(
            f"n={row['n']}", (row["kl"], row["reward"]), xytext=(6, -11),
            textcoords="offset points", fontsize=8,
        )  # fmt: skip
    for name, colour, marker in ((PPO_NAME, _PPO, "o"), (DPO_NAME, _DPO, "^")):
        found = world["equivalence"][name]
        at = [found["kl_to_reference"]], [found["reward"]]
        axes.plot(*at, marker, color=colour, markersize=8, zorder=4, label=name.upper())
    axes.set_xlabel("KL to the reference (nats per response)")
    axes.set_ylabel("gold reward, mean")
    title = f"Reward against KL, world {world['seed']}: no policy lies above the line"
    return finish(figure, axes, title, columns=3)


def displacement(answers: dict[str, Any]) -> Figure:
    """Adoption against KL where labels never err: most possible, PPO, and DPO for every setting.

    The first world alone: each has a frontier of its own.
    """
    figure, axes = canvas()
    world = answers["worlds"][0]
    found = world["displacement"]
    curve = sorted(found["frontier"], key=lambda point: point["kl"])
    furthest = max(run["kl"] for run in found["runs"])
    x = [*(point["kl"] for point in curve), furthest]
    y = [*(point["reward"] for point in curve), curve[-1]["reward"]]
    axes.plot(x, y, "-", color=BLACK, linewidth=1.4, label="most that any policy has")
    ppo = found[PPO_NAME]
    axes.plot([ppo["kl"]], [ppo["adoption"]], "o", color=_PPO, markersize=8, label="PPO")
    looks = ((DPO_NAME, _DPO, "^", "DPO, network"), (TABLE, _OTHER, "s", "DPO, table"))
    for policy, colour, marker, label in looks:
        runs = [run for run in found["runs"] if run["policy"] == policy]
        at = [run["kl"] for run in runs], [run["adoption"] for run in runs]
        axes.plot(*at, marker, color=colour, label=label)
    axes.set_xlim(left=0.0)
    axes.set_ylim(0.0, 1.03)
    axes.set_xlabel("KL to the reference (nats per response)")
    axes.set_ylabel("adoption (probability)")
    title = f"Labels that never err, world {world['seed']}: adoption against KL"
    return finish(figure, axes, title, columns=2)
