"""What ``rlhf-compare oracle`` does: train, sum, write the page."""

import logging
import time
import warnings
from pathlib import Path

from datasets import disable_progress_bars
from transformers.utils import logging as transformers_logging

from rlhf_compare.bars import bar
from rlhf_compare.errors import RecipeError
from rlhf_compare.runs.files import replace_text, write_json
from rlhf_compare.world.figures import draw
from rlhf_compare.world.oracle import STEPS, TUNING_SEEDS, consult
from rlhf_compare.world.page import first_sentence, page


def run_oracle(seeds: list[int], directory: Path) -> str:
    """Train on the worlds of ``seeds`` and write oracle.md, oracle.json and the figures.

    Returns:
        the answer in a sentence, and where the page is.

    Raises:
        RecipeError: a seed of a world that the settings were chosen on.
    """
    if tuned := sorted(set(seeds) & set(TUNING_SEEDS)):
        raise RecipeError(
            f"--seeds: the settings were chosen on world {tuned[0]}, so it says nothing about "
            "them; give others, for instance 1-3"
        )
    disable_progress_bars()
    transformers_logging.set_verbosity_error()
    logging.getLogger("rlhf_compare").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)  # of libraries, about themselves
    start = time.monotonic()
    with bar("oracle", STEPS * len(seeds), "step") as shown:
        answers = consult(
            tuple(seeds), shown.update, lambda seed: shown.set_postfix({"world": str(seed)})
        )
    directory.mkdir(parents=True, exist_ok=True)
    figures = draw(answers, directory)
    write_json(directory / "oracle.json", answers)
    replace_text(directory / "oracle.md", page(answers, figures))
    took = time.monotonic() - start
    return f"{first_sentence(answers)}\n{took:.0f} s; {directory / 'oracle.md'}"
