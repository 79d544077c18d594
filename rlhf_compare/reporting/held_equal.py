"""What was the same for every method, and what was not: read from the recipe and the results."""

from collections.abc import Mapping
from typing import Any

from rlhf_compare.reporting.comparisons import SFT, contenders
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.numbers import NOT_MEASURED
from rlhf_compare.reporting.recipe_facts import section, sft_is_given
from rlhf_compare.reporting.schema import Results
from rlhf_compare.reporting.tables import NOT_RECORDED, Table

JUDGED_AT = 1.0  # the temperature of every sampled number, see evaluation/measure.py

_EVALUATION = {
    "samples_per_prompt": "sampled responses to each prompt",
    "max_new_tokens": "response limit, tokens",
    "batch_size": "evaluation batch, responses (other sizes are other draws)",
}


def held_equal_table(results: Results) -> Table:
    """One row a fact; the last ones say how each method sampled while it trained."""
    facts, settings = results.provenance, section(results, "evaluation")
    given = sft_is_given(results)
    taught = "the reward model" if given else "SFT, the reward model"
    rows = [
        ("SFT model that all start from, and the reference", "one, given" if given else "one"),
        ("seeds", ", ".join(map(str, facts.seeds))),
        (f"rows that may teach {taught} and every method", _rows(results)),
        ("prompts that judge, the same for all", _prompts(results)),
        *((words, _said(settings, name)) for name, words in _EVALUATION.items()),
        ("temperature of judging, and the greedy answer beside it", f"{JUDGED_AT:g}"),
        *_sampling(results),
    ]
    return Table(
        header=("", ""),
        rows=tuple(rows),
        note="Each prompt is sampled from the same state of the random numbers for every method. "
        "Not equal: what each makes of these rows (one that samples learns from prompts and a "
        "reward model, another from the pairs), how many updates, samples and seconds each "
        "took (see the costs), and that each method has settings of its own (see the recipe)."
        + "".join(f" {text}" for text in broken_texts(results)),
    )


def broken_texts(results: Results) -> list[str]:
    """What only a reward model was shown: one sentence, or none."""
    learned = results.provenance.learned.items()
    made = [found.made for label, found in learned if label.startswith("reward-") and found.made]
    if not made:
        return []
    return [
        f"The reward model also saw {max(made):,} broken texts, made from the responses of the "
        "training rows and standing level with the worst; a method that learns from the pairs sees "
        "none."
    ]


def _said(settings: Mapping[str, Any], name: str) -> str:
    return str(settings.get(name, NOT_RECORDED))


def _rows(results: Results) -> str:
    return f"the same {results.provenance.ledger.train_rows:,}"


def _prompts(results: Results) -> str:
    counts = {
        found.n
        for method in results.methods.values()
        if (found := method.estimate("length")) is not None
    }
    return " / ".join(map(str, sorted(counts))) or NOT_MEASURED


def _sampling(results: Results) -> list[tuple[str, str]]:
    rows = []
    for name in contenders(results):
        found = results.methods[name].sampling
        if found is not None:
            length = found.response_length
            limit = "" if length is None else f", at most {length} tokens"
            rows.append(
                (
                    f"{label_of(results, name)} samples",
                    f"at temperature {found.temperature:g}{limit}",
                )
            )
    return rows


def sampling_caveats(results: Results) -> list[str]:
    """A policy that was trained on samples of one kind and is judged on those of another."""
    notes, limit = [], section(results, "evaluation").get("max_new_tokens")
    for name, method in results.methods.items():
        found = method.sampling
        if name == SFT or found is None:
            continue
        if found.temperature != JUDGED_AT:
            notes.append(
                f"{label_of(results, name)} samples at temperature "
                f"{found.temperature:g} and is judged "
                f"at {JUDGED_AT:g}: what is judged is not the distribution that was optimised."
            )
        longest = found.response_length
        if longest is not None and isinstance(limit, int) and longest < limit:
            notes.append(
                f"{label_of(results, name)} was trained on responses of at most "
                f"{longest} tokens and is "
                f"judged on up to {limit}: what comes later was never rewarded."
            )
    return notes
