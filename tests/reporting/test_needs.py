"""The textbook's table holds what was counted, and says what was not."""

from typing import Any

import pytest

from rlhf_compare.reporting.needs import needs_table
from rlhf_compare.reporting.schema import Results
from rlhf_compare.reporting.tables import cost_table
from rlhf_compare.theory import COLLAPSE_RULE

from .conftest import changed, unmeasured
from .test_tables import row

_LAST = "training stability (range over the last three probes)"
_SENSITIVITY = "training stability (learning rate / 3 and x 3)"


def complexity(settings: int, here: int, trl: int, **models: int) -> dict[str, Any]:
    named = {role.replace("_", " "): n for role, n in models.items()}
    return {"models": named, "lines": {"here": here, "trl": trl}, "settings": settings}


@pytest.fixture
def counted(results: Results) -> Results:
    ppo = complexity(9, 1600, 0, policy=700, value_model=600, reference=700, reward_model=600)
    reward, dpo = complexity(5, 900, 600, reward_model=600), complexity(7, 500, 1300, policy=700)
    return changed(
        results,
        {
            "methods.ppo.complexity": {"reward": reward, "ppo": ppo},
            "methods.dpo.complexity": {"dpo": dpo},
        },
    )


def test_steps_reward_and_sampling_are_read_from_the_stages(results: Results) -> None:
    table = needs_table(results)
    assert table.header == ("", "PPO", "DPO")
    assert row(table, "learning steps after SFT")[1:] == ("2 (reward, ppo)", "1 (dpo)")
    assert row(table, "reward model needed")[1:] == ("yes", "no")
    assert row(table, "RL needed (learns from its own samples)")[1:] == ("yes", "no")
    assert COLLAPSE_RULE in table.note


def test_rows_that_nobody_measured_are_named_with_the_command(results: Results) -> None:
    table = needs_table(results)
    assert "Not measured here: complexity (models in memory); " in table.note
    assert _SENSITIVITY in table.note and "make sensitivity" in table.note
    assert not any(name.startswith(("complexity", _SENSITIVITY)) for name, *_ in table.rows)


def test_complexity_is_what_the_stages_recorded(counted: Results) -> None:
    table = needs_table(counted)
    assert row(table, "complexity (models in memory)")[1:] == (
        "reward: 1, 600 parameters; ppo: 4 (policy, value model, reference, reward model), "
        "2,600 parameters",
        "dpo: 1, 700 parameters",
    )
    assert row(table, "complexity (hyper-parameters set)")[1:] == ("14 (reward 5, ppo 9)", "7")
    assert row(table, "complexity (lines of code)")[1:] == (
        "2,500 (reward 900, ppo 1,600) here, 600 of TRL",
        "500 here, 1,300 of TRL",
    )


def test_a_method_that_trains_no_model_of_its_own(counted: Results) -> None:
    none = {"models": {}, "lines": {}, "settings": 2}
    idle = {"total": 1.0, "phases": {"load": 1.0}}
    seconds = "methods.ppo.cost.device_seconds.stages.ppo"
    results = changed(counted, {"methods.ppo.complexity.ppo": none, seconds: idle})
    models = row(needs_table(results), "complexity (models in memory)")[1]
    assert models == "reward: 1, 600 parameters; ppo: trains none"


def test_costs_carry_their_range_over_seeds(results: Results) -> None:
    cost = row(needs_table(results), "compute cost (device seconds)")
    assert cost[1] == "90.0; 70.0 after SFT"
    costs = [
        {"seed": i, "path_total": 89.0 + i, "after_sft": 69.0 + i, "peak_memory_bytes": n * 2**20}
        for i, n in enumerate((500, 512, 508))
    ]
    results = changed(results, {"methods.ppo.cost.by_seed": costs})
    table = needs_table(results)
    cost = row(table, "compute cost (device seconds)")
    assert cost[1] == "90.0 (89.0 to 91.0); 70.0 (69.0 to 71.0) after SFT"
    assert row(table, "compute cost (peak memory, MiB)")[1:] == ("512 (500 to 512)", "512")


def test_stability_is_runs_spread_and_sensitivity(results: Results) -> None:
    runs = {"completed": 2, "failed": 1, "collapsed": 1}
    trials = [
        {
            "factor": factor,
            "learning_rate": 1e-4 * factor,
            "runs": {"completed": 2, "failed": 0, "collapsed": collapsed},
            "means": {"adoption.exact": adoption, "kl_to_reference.exact": 4.0},
        }
        for factor, adoption, collapsed in ((1 / 3, 0.5, 0), (3.0, 0.25, 1))
    ]
    by_seed = {"adoption.exact": [0.8, 0.82], "kl_to_reference.exact": [4.0, 5.0]}
    results = changed(
        results,
        {
            "methods.ppo.runs": runs,
            "methods.ppo.sensitivity": trials,
            **{f"methods.ppo.{path}.by_seed": values for path, values in by_seed.items()},
        },
    )
    table = needs_table(results)
    assert row(table, "training stability (runs)")[1] == "2 completed, 1 failed, 1 collapsed"
    # sd of two values: their distance over the root of two
    spread = row(table, "training stability (spread over seeds)")
    assert spread[1:] == ("adoption 0.014, KL 0.71 nats", "not measured")
    assert row(table, _SENSITIVITY)[1:] == (
        "/ 3: adoption 0.500, KL 4.00 nats; x 3: adoption 0.250, KL 4.00 nats, 1 collapsed",
        "not measured",
    )


def run_of(seed: int, *seen: tuple[float | None, float | None]) -> dict[str, Any]:
    """A run whose probes, step 0 first, saw these adoptions and KLs."""
    points = [
        {"step": step, "adoption_exact": adoption, "kl_exact": kl}
        for step, (adoption, kl) in enumerate(seen)
    ]
    return {"seed": seed, "points": points}


def test_the_last_three_probes_of_each_run_show_their_range(results: Results) -> None:
    """The mean over seeds and the most of any; neither earlier probes, nor probes without a
    number, nor the start, which is the SFT model, count."""
    swings = run_of(0, (0.0, 0.0), (0.1, 9.0), (0.70, 5.0), (None, None), (0.80, 6.5), (0.75, 5.5))
    still = run_of(1, (0.0, 0.0), (0.1, 0.1), (0.80, 5.0), (0.82, 5.5), (0.81, 5.0))
    short = run_of(0, (0.0, 0.0), (0.5, 2.0), (0.9, 4.0))
    changes = {"methods.ppo.training": [swings, still], "methods.dpo.training": [short]}
    table = needs_table(changed(results, changes))
    assert row(table, _LAST)[1:] == (
        "adoption 0.06 (at most 0.1), KL 1 nats (at most 1.5)",
        "not measured",
    )
    assert "Last three probes: the largest less the least" in table.note
    alone = needs_table(changed(results, {"methods.ppo.training": [still]}))
    assert row(alone, _LAST)[1] == "adoption 0.02, KL 0.5 nats"


def test_needs_without_device_seconds_are_not_measured(results: Results) -> None:
    results = unmeasured(results, "cost.device_seconds", of=("ppo",))
    table = needs_table(results)
    for name, ppo, _ in table.rows:
        assert ppo == "not measured" or name.startswith(
            ("training stability", "compute cost (peak")
        )
    assert row(table, "reward model needed")[2] == "no"
    assert row(cost_table(results), "PPO", "whole path")[-1] == "not measured"
