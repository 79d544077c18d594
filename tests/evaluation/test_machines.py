"""What a page says of other machines, and when."""

import pytest

from rlhf_compare.evaluation.machines import machine_caveat


@pytest.mark.parametrize(
    ("by_seed", "devices", "said", "unsaid"),
    [
        ([0.983], ["cpu A"], "cover neither", "expect"),
        ([0.983, 0.972], ["cpu A"], "cover neither", "expect"),
        ([0.983, 0.972, 0.9901], ["cpu A", "cpu A"], "(0.972 to 0.990)", "neither"),
        ([0.983, 0.972, 0.990], ["cpu B", "cpu A"], "different devices (cpu A, cpu B)", "expect"),
        ([0.983], ["cpu B", "cpu A"], "different devices (cpu A, cpu B)", "neither"),
    ],
)
def test_when_which_sentence_is_true(
    by_seed: list[float], devices: list[str], said: str, unsaid: str
) -> None:
    found = machine_caveat(by_seed, devices)
    assert said in found and unsaid not in found


def test_nothing_trained_needs_no_caveat() -> None:
    assert machine_caveat([], ["cpu A"]) == ""
