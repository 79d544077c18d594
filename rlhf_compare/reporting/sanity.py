"""Faults that make every other number on the page say something else than it seems to."""

from rlhf_compare.reporting.comparisons import SFT, contenders
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.numbers import format_value
from rlhf_compare.reporting.recipe_facts import sft_is_given
from rlhf_compare.reporting.schema import Results
from rlhf_compare.theory import ENDS

STILL = 1e-3  # nats per response: below it a policy is taken for the reference itself


def did_not_move(results: Results) -> list[str]:
    """Policies that are the model they started from."""
    notes = []
    for name in contenders(results):
        drift = results.methods[name].value("kl_to_reference.exact")
        if drift is not None and abs(drift) < STILL:
            notes.append(
                f"{label_of(results, name)} did not move: its KL to the SFT model that it started "
                "from "
                f"is under {STILL:g} nats per response, so its numbers are those of SFT. Look for "
                "a learning rate of 0, too few steps, or weights that were not saved."
            )
    return notes


def start_does_not_end(results: Results) -> list[str]:
    """A start that was not taught to end its responses."""
    ended = results.methods[SFT].estimate("eos_rate") if SFT in results.methods else None
    if ended is None or ended.mean >= ENDS:
        return []
    cause = (
        "the model that was given was not taught to end them"
        if sft_is_given(results)
        else "its demonstrations do not end in the end token"
    )
    return [
        f"The SFT model ends {format_value(ended, 'share')} of its responses by itself, the others "
        f"are cut at the limit. Either {cause}, or "
        "evaluation.max_new_tokens is too short for them. Lengths and KL per response then say "
        "how long the limit is, and no run is called collapsed for not ending."
    ]
