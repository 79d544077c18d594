"""The evaluation stage: a checkpoint in, numbers per prompt and answers out."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from datasets import Dataset

from rlhf_compare.data.config import TaskConfig
from rlhf_compare.data.control import unmarked
from rlhf_compare.data.encoding import encode_prompt
from rlhf_compare.data.tasks import render_question
from rlhf_compare.data.views import prompt_view
from rlhf_compare.evaluation.config import EvaluationConfig
from rlhf_compare.evaluation.measure import Harness, Measurement
from rlhf_compare.evaluation.preferences import harness_agreement, ranked_on
from rlhf_compare.models.policy import load_policy
from rlhf_compare.models.sampler import Sampler
from rlhf_compare.models.scoring import Scorer, load_reward
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.runs.context import StageContext
from rlhf_compare.runs.directory import RunDirectory
from rlhf_compare.runs.files import read_json, write_json

_FILE = "measurement.json"


def evaluate_policy(
    context: StageContext,
    config: EvaluationConfig,
    task: TaskConfig,
    load: Callable[[str], Sampler],
    sft_model: Path,
    reward_models: dict[str, Path],
) -> None:
    """Measure one policy and write the numbers of every prompt to the stage's directory.

    Prompts are the questions that the recipe asks to see, then held-out prompts; only the latter
    count in the numbers.

    Args:
        load: of a device, the policy on it.
        reward_models: by name, ``proxy`` and ``held_out``; what is not there is not measured.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with context.meter.phase("load"):
        tokenizer = load_tokenizer(sft_model)
        harness = Harness(
            reference=load_policy(sft_model).to(device).eval(),
            scorers={
                f"reward.{name}": Scorer(
                    load_reward(directory, sft_model, device), tokenizer, config.batch_size
                )
                for name, directory in reward_models.items()
            },
            tokenizer=tokenizer,
            task=task,
            config=config,
        )
        policy = load(device)
    with context.meter.phase("evaluate"):
        prompts, _ = evaluation_prompts(context.data.eval(), config)
        asked = [render_question(question, task, tokenizer) for question in config.questions]
        measured = harness.measure(policy, prompts["prompt_ids"], context.seed, context.run_name)
        ranked = ranked_on(context.data.eval(), prompts["prompt"])
        labelled = harness_agreement(harness, policy.model, ranked)
        shown = harness.answer(policy, [encode_prompt(tokenizer, prompt) for prompt in asked])
        count = config.shown_prompts
        write_json(
            context.directory.path / _FILE,
            {
                "per_prompt": {**measured.per_prompt, **labelled.policy},
                "judges": labelled.judges,
                "answers": measured.answers,
                "prompts": prompts["prompt"][:],
                "sampled": measured.sampled,
                "scores": measured.scores,
                "topics": prompts["topic"][:] if "topic" in prompts.column_names else [],
                "samples": [
                    *zip(map(unmarked, asked), shown, strict=True),
                    *zip(
                        map(unmarked, prompts["prompt"][:count]),
                        measured.answers[:count],
                        strict=True,
                    ),
                ],
            },
        )


def evaluation_prompts(held_out: Dataset, config: EvaluationConfig) -> tuple[Dataset, Dataset]:
    """Different held-out prompts, drawn by hash: the same for every method, whatever the order of
    the file.

    Returns:
        those that the evaluation measures, at most ``max_prompts``, and those that a probe asks
        while a method trains, at most ``probe_prompts`` and a quarter of all. No prompt is in both:
        a checkpoint chosen on the prompts that judge it would flatter itself.
    """
    prompts = prompt_view(held_out)
    ranks = [hashlib.sha256(prompt.encode()).hexdigest() for prompt in prompts["prompt"]]
    order = sorted(range(len(ranks)), key=ranks.__getitem__)
    probed = min(config.probe_prompts, len(order) // 4) if config.during_training else 0
    judged = order[: len(order) - probed][: config.max_prompts]
    return prompts.select(judged), prompts.select(order[len(order) - probed :])


def rows_on(held_out: Dataset, prompts: Dataset) -> Dataset:
    """The held-out rows on these prompts."""
    wanted = set(prompts["prompt"])
    return held_out.filter(lambda prompt: prompt in wanted, input_columns=["prompt"])


def read_measurement(directory: RunDirectory) -> Measurement:
    """What :func:`evaluate_policy` wrote."""
    values = read_json(directory.path / _FILE)
    return Measurement(
        per_prompt=values["per_prompt"],
        answers=values["answers"],
        # one that an older version wrote lacks the rest
        **{name: values[name] for name in ("topics", "sampled", "scores") if name in values},
    )


def read_judges(directory: RunDirectory) -> dict[str, dict[str, list[float | None]]]:
    """Reward model's metric -> its :class:`Agreement` with the labels; empty where there was no
    labelled pair."""
    judges: dict[str, dict[str, list[float | None]]] = read_json(directory.path / _FILE).get(
        "judges", {}
    )
    return judges


def read_samples(directory: RunDirectory) -> Sequence[tuple[str, str]]:
    """(prompt, greedy answer) of the prompts that the report shows."""
    return [tuple(sample) for sample in read_json(directory.path / _FILE)["samples"]]
