"""Which held-out prompts judge, and which choose."""

import json
from pathlib import Path

from datasets import Dataset

from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.prepare import prepare
from rlhf_compare.evaluation.config import EvaluationConfig
from rlhf_compare.evaluation.stage import evaluation_prompts
from rlhf_compare.models.tokenizer import train_tokenizer


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


def test_topics_of_the_rows_reach_the_judged_prompts(tmp_path: Path) -> None:
    """Twenty topics of four questions: a number is of the topic, not of the question."""
    rows = [
        {"topic": f"thing {i // 4}", "question": f"What is number {i}?", "answer": f"It is {i}."}
        for i in range(80)
    ]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = DataConfig(source="file", path=str(source), eval_share=0.5)
    task = TaskConfig()
    prepared = prepare(data, task, lambda _: train_tokenizer([], vocab_size=257))
    judged, _ = evaluation_prompts(prepared.eval, EvaluationConfig(during_training=0))
    assert len(judged) >= 8
    assert 4 * len(set(judged["topic"])) == len(judged)
