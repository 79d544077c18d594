"""Trains and measures the settings of a sweep, one after the other."""

from collections import Counter
from collections.abc import Callable, Sequence

from rlhf_compare.bars import bar
from rlhf_compare.errors import StageFailedError
from rlhf_compare.finished import Finished
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.reporting.numbers import display_name
from rlhf_compare.runs.identity import Stage
from rlhf_compare.sweeps.grid import Setting


def run_settings(
    pipeline: Pipeline,
    settings: Sequence[Setting],
    seeds: Sequence[int],
    title: str,
    say: Callable[[str], None],
    with_reward: bool,
) -> Finished:
    """Run what is not done yet; the same seeds for every setting.

    Args:
        pipeline: of a recipe whose variants are the settings.
        title: of the progress bar over settings.
        with_reward: see :meth:`Pipeline.evaluate`.

    Raises:
        StageFailedError: the SFT model, which all share, or its measurement failed. A setting that
            fails is noted, and the others go on.
    """
    evaluations: dict[str, dict[int, Stage]] = dict(
        pipeline.compare(["sft"], seeds, with_reward=with_reward)
    )
    with bar(title, len(settings), "setting") as progress:
        for place, setting in enumerate(settings, start=1):
            say(f"setting {place} of {len(settings)}: {setting}")
            try:
                evaluations |= pipeline.compare([setting.name], seeds, with_reward=with_reward)
            except StageFailedError:  # under every seed; the pipeline keeps seeds and reasons
                if setting.name not in pipeline.failed:
                    raise
            progress.update()
    return pipeline.finished(evaluations)


def announce(
    title: str, settings: Sequence[Setting], seeds: Sequence[int], say: Callable[[str], None]
) -> None:
    """What will run, before it does."""
    sizes = Counter(display_name(one.method) for one in settings)
    listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
    under = " ".join(map(str, seeds))
    say(
        f"{title}: {len(settings)} settings ({listed}) under the seeds {under}, "
        f"so {len(settings) * len(seeds)} runs to train and measure; finished ones are kept"
    )
