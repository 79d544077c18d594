"""Which held-out prompts judge, which choose settings, and which a probe asks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.prepare import prepare
from rlhf_compare.data.splits import split_hash
from rlhf_compare.errors import DataError
from rlhf_compare.evaluation.config import EvaluationConfig
from rlhf_compare.evaluation.prompts import measured_prompts, probe_prompts
from rlhf_compare.models.tokenizer import train_tokenizer


def held_out(count: int, of_a_topic: int = 1) -> Dataset:
    prompts = [f"question {i}" for i in range(count)]
    groups = np.array([split_hash(f"topic {i // of_a_topic}") for i in range(count)], np.uint64)
    return Dataset.from_dict(
        {"prompt": prompts, "prompt_ids": [[i] for i in range(count)], "group": groups}
    )


def drawn(data: Dataset, **fields: Any) -> dict[str, Dataset]:
    judging = EvaluationConfig(**fields)
    tuning = EvaluationConfig(prompts="tuning", **fields)
    return {
        "judging": measured_prompts(data, judging),
        "tuning": measured_prompts(data, tuning),
        "probe": probe_prompts(data, judging),
    }


def test_judging_tuning_and_probe_share_neither_prompt_nor_topic() -> None:
    parts = drawn(held_out(1000, of_a_topic=5), max_prompts=1000, probe_prompts=1000)
    assert sum(len(part) for part in parts.values()) == 1000
    for column in ("prompt", "group"):
        sizes = [len(set(part[column])) for part in parts.values()]
        assert len(set().union(*(part[column] for part in parts.values()))) == sum(sizes)
    assert 480 < len(parts["judging"]) < 720
    assert 120 < len(parts["tuning"]) < 280 and 120 < len(parts["probe"]) < 280
    few = drawn(held_out(1000, of_a_topic=5), max_prompts=20, probe_prompts=7)
    assert [len(few[name]) for name in ("judging", "tuning", "probe")] == [20, 20, 7]
    assert len(probe_prompts(held_out(1000), EvaluationConfig(during_training=0))) == 0


def test_order_of_the_file_and_further_rows_move_no_prompt() -> None:
    data, more = held_out(60), held_out(400)
    turned = data.select(list(reversed(range(60))))
    for name, part in drawn(data, max_prompts=400, probe_prompts=400).items():
        again = drawn(turned, max_prompts=400, probe_prompts=400)[name]
        assert part["prompt"][:] == again["prompt"][:]
        wider = drawn(more, max_prompts=400, probe_prompts=400)[name]
        assert set(part["prompt"]) < set(wider["prompt"])


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 7])
def test_few_groups_judge_first_then_probe_then_tune(groups: int) -> None:
    for shift in range(20):  # twenty draws of so many groups
        data = held_out(10 * (groups + shift), of_a_topic=10).select(
            range(10 * shift, 10 * (groups + shift))
        )
        config = EvaluationConfig(max_prompts=1000, probe_prompts=1000)
        assert len(measured_prompts(data, config)) >= 10
        assert (len(probe_prompts(data, config)) >= 10) == (groups >= 2)
        tuning = EvaluationConfig(prompts="tuning")
        if groups >= 3:
            assert len(measured_prompts(data, tuning)) >= 10
        else:
            with pytest.raises(DataError, match=r"evaluation\.prompts: tuning: .* add rows, or"):
                measured_prompts(data, tuning)


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
    judged = measured_prompts(prepared.eval, EvaluationConfig())
    assert len(judged) >= 8
    assert 4 * len(set(judged["group"])) == len(judged)
