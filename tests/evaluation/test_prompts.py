"""Which held-out prompts judge, and which choose."""

from datasets import Dataset

from rlhf_compare.evaluation.config import EvaluationConfig
from rlhf_compare.evaluation.stage import evaluation_prompts


def held_out(count: int) -> Dataset:
    prompts = [f"question {i}" for i in range(count)]
    return Dataset.from_dict({"prompt": prompts, "prompt_ids": [[i] for i in range(count)]})


def test_no_prompt_both_chooses_and_judges() -> None:
    config = EvaluationConfig(max_prompts=200, probe_prompts=32)
    judged, asked = evaluation_prompts(held_out(100), config)
    assert len(asked) == 25 and len(judged) == 75  # a quarter at most
    assert not set(judged["prompt"]) & set(asked["prompt"])
    judged, asked = evaluation_prompts(held_out(400), config)
    assert len(asked) == 32 and len(judged) == 200


def test_order_of_the_file_changes_nothing_and_no_probe_takes_nothing() -> None:
    data = held_out(40)
    config = EvaluationConfig(max_prompts=20, probe_prompts=5)
    turned = data.select(list(reversed(range(40))))
    for a, b in zip(
        evaluation_prompts(data, config), evaluation_prompts(turned, config), strict=True
    ):
        assert a["prompt"][:] == b["prompt"][:]
    judged, asked = evaluation_prompts(data, EvaluationConfig(max_prompts=40, during_training=0))
    assert len(judged) == 40 and len(asked) == 0
