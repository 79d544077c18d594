"""The evaluation stage: a checkpoint in, numbers per prompt and answers out."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from rlhf_compare.data.config import TaskConfig
from rlhf_compare.data.control import unmarked
from rlhf_compare.data.encoding import encode_prompt
from rlhf_compare.data.tasks import render_question
from rlhf_compare.evaluation.config import EvaluationConfig
from rlhf_compare.evaluation.measure import Harness, Measurement
from rlhf_compare.evaluation.preferences import harness_agreement, ranked_on
from rlhf_compare.evaluation.prompts import measured_prompts
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

    Prompts are the questions that the recipe asks to see, then held-out prompts of the part that
    ``evaluation.prompts`` names; only the latter count in the numbers.

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
        prompts = measured_prompts(context.data.eval(), config)
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
                "topics": prompts["group"][:],
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
