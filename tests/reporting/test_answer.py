"""Every form of the first sentence has its condition: for each, results in which it appears and the
least change that makes it vanish or turn. MADE-UP NUMBERS."""

import pytest

from rlhf_compare.reporting.schema import Failure, Results
from rlhf_compare.reporting.verdict import verdict

from .conftest import against_sft, changed, compared, estimate, only, unmeasured
from .verdict_rows import (
    ADOPTION_ROW,
    DRIFT_ROW,
    EQUAL,
    FEW_ADOPTION,
    FEW_DRIFT,
    FURTHER,
    MORE_DRIFT,
    NEAR,
    SAME_COST,
    SEEDS,
    STILL,
    Case,
    check,
    equal,
    runs,
    sound_results,
)

CASES: dict[str, Case] = {
    "one method is ahead in all that is shown": (
        "answer",
        "DPO adopts further (0.930 against 0.810) and takes 33 % of the other's device time (30.0 "
        "against 90.0 s); also at equal adoption by drift, at equal adoption by time, at equal KL "
        "and at equal seconds; no difference shown in exact KL.",
        {},
        {"equal.2": equal("kl", 5.06, "adoption", [0.99] * 3, [0.9] * 3, 0.05)},
    ),
    "it depends": (
        "answer",
        "It depends: PPO adopts further (0.810 against 0.930); DPO takes 33 % of the other's "
        "device time (30.0 against 90.0 s); ahead: DPO at equal adoption by drift, at equal "
        "adoption by time, at equal KL and at equal seconds; no difference shown in exact KL.",
        {ADOPTION_ROW: FURTHER},
        {ADOPTION_ROW: NEAR},
    ),
    "who is ahead turns with a row at equal things": (
        "answer",
        "ahead: PPO at equal KL, DPO at equal adoption by drift",
        {"equal.2": equal("kl", 5.06, "adoption", [0.99] * 3, [0.9] * 3, 0.05)},
        {"equal.2": equal("kl", 5.06, "adoption", [0.99] * 3, [0.9] * 3, 0.1)},
    ),
    "the drift is a finding": (
        "answer",
        "DPO adopts further (0.930 against 0.810), drifts less (4.90 against 4.60 nats per "
        "response) and takes",
        {DRIFT_ROW: MORE_DRIFT},
        {DRIFT_ROW: compared("kl_to_reference.exact", "ppo", "dpo", 0.9, 1.0)},
    ),
    "the price is a finding beyond the spread of the seeds": (
        "answer",
        "takes 33 % of the other's device time",
        {},
        SAME_COST,
    ),
    "nothing is shown": (
        "answer",
        "No difference shown between PPO and DPO: exact adoption (more than 0.040 is excluded), "
        "exact KL and device time.",
        {ADOPTION_ROW: NEAR, "equal": [], **SAME_COST},
        {"equal": EQUAL[3:]},
    ),
    "one seed is a direction": (
        "answer",
        "A direction, no verdict (one seed): DPO has the higher exact adoption (0.930 against "
        "0.810), PPO has the lower exact KL (4.60 against 4.90 nats per response), DPO has the "
        "lower path device time (30.0 against 90.0 seconds).",
        {ADOPTION_ROW: FEW_ADOPTION, DRIFT_ROW: FEW_DRIFT},
        {ADOPTION_ROW: NEAR},
    ),
    "numbers that print the same are called equal": (
        "answer",
        "equal exact adoption (0.810)",
        {ADOPTION_ROW: FEW_ADOPTION, "methods.dpo.adoption.exact": estimate(0.8101, 0.02)},
        {"methods.dpo.adoption.exact": estimate(0.811, 0.02)},
    ),
    "half of the runs failed": (
        "answer",
        "Only DPO can be recommended (exact adoption 0.930): PPO failed in 2 of 4 runs.",
        {"methods.ppo.runs": runs(2, failed=2)},
        {"methods.ppo.runs": runs(3, failed=2)},
    ),
    "a winner by numbers of which half failed wins nothing": (
        "answer",
        "Only PPO can be recommended (exact adoption 0.810): DPO collapsed in 2 of 3 runs.",
        {"methods.dpo.runs": runs(3, collapsed=2)},
        {"methods.dpo.runs": runs(3, collapsed=1)},
    ),
    "fewer than half of the runs failed": (
        "answer",
        "; PPO failed in 1 and collapsed in 1 of 5 runs.",
        {"methods.ppo.runs": runs(4, failed=1, collapsed=1)},
        {"methods.ppo.runs": runs(5)},
    ),
    "both failed": (
        "answer",
        "Neither PPO nor DPO can be recommended: PPO failed in 2 of 4 runs, DPO collapsed in 3 of "
        "3 runs.",
        {"methods.ppo.runs": runs(2, failed=2), "methods.dpo.runs": runs(3, collapsed=3)},
        {"methods.dpo.runs": runs(3)},
    ),
    "one did not move": (
        "answer",
        "Only DPO can be recommended (exact adoption 0.930): PPO did not move from the SFT model "
        "(exact KL 0.000 nats).",
        {
            "comparisons.2": STILL,
            "methods.ppo.kl_to_reference.exact": estimate(0.0, 0.0),
        },
        {"methods.ppo.kl_to_reference.exact": estimate(0.4, 0.1)},
    ),
    "one did not learn": (
        "answer",
        "PPO did not learn the behaviour (0.050 against 0.050 before).",
        {"comparisons.2": STILL, "methods.ppo.adoption.exact": estimate(0.05, 0.01)},
        {"comparisons.2": against_sft("adoption.exact", "ppo", 0.1, 0.2)},
    ),
    "one is not shown to have learned": (
        "answer",
        "PPO is not shown to have learned the behaviour (0.810 against 0.050 before).",
        {"comparisons.2": against_sft("adoption.exact", "ppo", 0.1, 0.2)},
        {"comparisons.2": against_sft("adoption.exact", "ppo", 0.3, 0.2)},
    ),
    "neither moved": (
        "answer",
        "Neither PPO nor DPO moved from the SFT model: exact adoption of PPO",
        {
            "comparisons.2": STILL,
            "comparisons.3": against_sft("adoption.exact", "dpo", 0.0, 0.001),
            "methods.ppo.kl_to_reference.exact": estimate(0.0, 0.0),
            "methods.dpo.kl_to_reference.exact": estimate(0.001, 0.001),
        },
        {"methods.dpo.kl_to_reference.exact": estimate(0.1, 0.0)},
    ),
    "no difference was taken": (
        "answer",
        "No verdict: these results hold no paired difference between PPO and DPO, which were not "
        "compared.",
        {"comparisons": []},
        {"comparisons": [NEAR]},
    ),
    "no seed is shared": (
        "answer",
        "which share no seed.",
        {
            "comparisons": [],
            "methods.ppo.training": [{"seed": 0, "points": []}],
            "methods.dpo.training": [{"seed": 1, "points": []}],
        },
        {"methods.dpo.training": [{"seed": 0, "points": []}]},
    ),
}


@pytest.fixture
def sound(results: Results) -> Results:
    return sound_results(results)


@pytest.mark.parametrize("case", CASES)
def test_a_sentence_stands_by_its_condition_and_falls_with_it(sound: Results, case: str) -> None:
    check(sound, CASES[case])


def test_a_pair_has_an_answer_in_one_sentence_and_three_bullets(sound: Results) -> None:
    found = verdict(sound)
    assert len(found.bullets) == 3 and found.answer.count(". ") == 0 and found.answer[-1] == "."


def test_an_answer_below_three_seeds_names_no_winner_by_level_either(sound: Results) -> None:
    rows = {ADOPTION_ROW: FEW_ADOPTION, DRIFT_ROW: FEW_DRIFT, "comparisons.2": STILL}
    answer = verdict(changed(sound, rows)).answer
    assert answer.startswith("A direction, no verdict (one seed): only DPO can be recommended")


def test_a_method_that_failed_under_every_seed_is_in_the_answer(sound: Results) -> None:
    failure = Failure(method="ppo", seeds=SEEDS, reason="the loss is nan")
    found = verdict(changed(only(sound, "sft", "dpo"), {"failures": [failure]}))
    assert found.answer == "No comparison: PPO failed under every seed."
    assert "PPO failed under every seed and has no column." in found.rest
    assert "DPO: exact adoption 0.930" in " ".join(found.rest)
    # a variant that failed was not what was asked about
    variant = {"recipe.variants": {"gentle": {"method": "ppo", "settings": {}}}}
    other = failure.model_copy(update={"method": "gentle"})
    assert "depends" not in verdict(sound).answer
    assert verdict(changed(sound, {"failures": [other], **variant})).answer == verdict(sound).answer


def test_a_preference_page_answers_by_its_own_metric(sound: Results) -> None:
    rows = [
        compared("reward.held_out", "ppo", "dpo", 0.4, 0.1),
        *(against_sft("reward.held_out", name, 0.8, 0.1) for name in ("ppo", "dpo")),
    ]
    preference = {"recipe.task": {"name": "preference"}, "comparisons": rows, "equal": []}
    results = unmeasured(changed(sound, preference), "adoption")
    assert verdict(results).answer == (
        "It depends: PPO reaches the higher judge reward (1.10 against 1.10 score); DPO takes "
        "33 % of the other's device time (30.0 against 90.0 s)."
    )
    assert "PPO moved further: judge reward" in verdict(results).bullets[0]
