"""metrics.jsonl is the truth, and evaluations are even."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from rlhf_compare.runs.tracking import MetricsLog, ProbeSchedule, probe_steps


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
    [
        (10, 60, [1, 2, 5, 10, 15, 22, 29, 38, 49, 60]),
        (10, 12, [1, 2, 3, 4, 5, 6, 7, 8, 10, 12]),
        (1, 12, [12]),
        (10, 4, [1, 2, 3, 4]),
        (3, 9, [1, 4, 9]),
        (2, 1, [1]),
    ],
)
def test_probes_are_dense_at_first_and_the_last_is_at_the_end(
    times: int, steps: int, expected: list[int]
) -> None:
    callback, due = ProbeSchedule(times), []
    for step in range(1, steps + 1):
        state, control = TrainerState(global_step=step, max_steps=steps), TrainerControl()
        callback.on_step_end(None, state, control)  # type: ignore[arg-type]
        if control.should_evaluate:
            due.append(step)
    assert due == expected


def test_as_many_probes_as_asked_for_or_steps_that_there_are() -> None:
    for steps in range(1, 200):
        for times in range(1, 30):
            due = probe_steps(steps, times)
            assert len(set(due)) == len(due) == min(times, steps), (steps, times)
            assert due == sorted(due) and due[0] >= 1 and due[-1] == steps
