"""metrics.jsonl is the truth, and evaluations are even."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from rlhf_compare.runs.tracking import EvaluateEvenly, MetricsLog


def test_every_row_is_on_disk_and_a_nan_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    args = TrainingArguments(output_dir=str(tmp_path), report_to="none")
    state, control = TrainerState(is_world_process_zero=True), TrainerControl()
    callback: Any = MetricsLog(path)
    for row in [{"loss": 1.0}, {"loss": float("nan")}]:
        state.global_step += 1
        callback.on_log(args, state, control, logs=row)
    callback.on_train_end(args, state, control)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": "nan"}]


@pytest.mark.parametrize(
    ("times", "steps", "expected"),
    [(10, 12, 10), (1, 12, 1), (10, 4, 4), (3, 9, 3)],
)
def test_evaluations_are_even_and_the_last_is_at_the_end(
    times: int, steps: int, expected: int
) -> None:
    callback, due = EvaluateEvenly(times), []
    for step in range(1, steps + 1):
        state, control = TrainerState(global_step=step, max_steps=steps), TrainerControl()
        callback.on_step_end(None, state, control)  # type: ignore[arg-type]
        if control.should_evaluate:
            due.append(step)
    assert len(due) == expected and due[-1] == steps
    gaps = {b - a for a, b in zip([0, *due], due, strict=False)}
    assert max(gaps) - min(gaps) <= 1
