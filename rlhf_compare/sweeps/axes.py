"""The KL axis of a sweep: a run that went 90 nats away must not squeeze all others together."""

import math

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

_TICKS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 50, 100, 200, 500, 1000, 2000, 5000)
_FINE = 6.0  # nats: beyond it ticks are rarer
_SHORTEST = 0.1  # nats: where nothing moved, rounding must not fill the figure
LABEL = "KL to the reference (nats per response)"


def kl_axis(axes: Axes, largest: float, linear: float) -> None:
    """From 0; linear up to ``linear`` nats (at least 1), and logarithmic beyond where anything
    lies there."""
    linear = float(max(math.ceil(linear), 1))
    axes.set_xlabel(LABEL)
    if largest > linear:
        axes.set_xscale("symlog", linthresh=linear, linscale=2.0)
        ticks = [
            t for t in _TICKS if t <= 1.1 * largest and (linear <= _FINE or t not in (1, 3, 5))
        ]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.set_xlabel(f"{LABEL}, logarithmic beyond {linear:g}")
    axes.set_xlim(0.0, max(axes.get_xlim()[1], _SHORTEST))
