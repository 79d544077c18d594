"""The opening paragraph and the caveats say what the numbers say and no more."""

import pytest

from rlhf_compare.reporting.caveats import caveats
from rlhf_compare.reporting.schema import Comparison, Results
from rlhf_compare.reporting.verdict import verdict

from .conftest import (
    against_sft,
    changed,
    compared,
    estimate,
    method,
    only,
    stage,
    unmeasured,
)


def text(results: Results) -> str:
    return verdict(results).text


def test_a_shown_difference_names_the_winner(results: Results) -> None:
    said = text(results)
    assert (
        "DPO moved further: exact adoption 0.930 [0.910, 0.950] against 0.810 [0.790, 0.830] with "
        "PPO (PPO - DPO: -0.120 [-0.150, -0.090])." in said
    )
    assert "The SFT model shows the behaviour with probability 0.050" in said


def test_an_interval_that_holds_zero_names_no_winner(results: Results) -> None:
    assert "No difference shown in exact KL: PPO 4.60 [4.10, 5.10], DPO 4.90" in text(results)
    assert "drifted further" not in text(results)
    results = changed(
        results, {"comparisons.0": compared("adoption.exact", "ppo", "dpo", -0.02, 0.03)}
    )
    assert "No difference shown in exact adoption" in text(results)
    assert "moved further" not in text(results)


def test_few_seeds_decide_nothing(results: Results) -> None:
    results = changed(results, {"comparisons.0.verdict": "two seeds: not decided"})
    assert "with PPO" not in text(results) and "moved further" not in text(results)
    assert "(PPO - DPO: -0.120 [-0.150, -0.090]); two seeds: not decided." in text(results)


def test_no_difference_says_how_large_it_may_still_be(results: Results) -> None:
    near = compared("adoption.exact", "ppo", "dpo", -0.02, 0.03)
    near = near.model_copy(update={"excluded": 0.05})
    assert "; more than 0.050 is excluded)" in text(changed(results, {"comparisons.0": near}))
    clear = compared("adoption.exact", "ppo", "dpo", -0.04, 0.03)
    clear = clear.model_copy(
        update={"verdict": "no difference shown", "excluded": 0.07, "p_adjusted": 0.06}
    )
    said = text(changed(results, {"comparisons.0": clear}))
    assert "-0.010]; p = 0.06 after Holm's adjustment)" in said and "excluded" not in said


def test_the_winner_does_not_depend_on_the_order_of_a_and_b(results: Results) -> None:
    turned = compared("adoption.exact", "dpo", "ppo", 0.12, 0.03)
    results = changed(results, {"comparisons.0": turned})
    assert "DPO moved further" in text(results)
    assert "(DPO - PPO: 0.120 [0.090, 0.150])" in text(results)


def test_without_a_comparison_nobody_is_called_higher(results: Results) -> None:
    said = text(changed(results, {"comparisons": []}))
    assert "these results hold no paired difference, so neither is called higher" in said
    assert "no difference was measured" not in said
    assert "moved further" not in said and "drifted further" not in said


def test_cost_ratio(results: Results) -> None:
    assert (
        "The path to PPO held the device 3.0 times as long as the path to DPO (90.0 s against "
        "30.0 s); after SFT, which both share, 70.0 s against 10.0 s." in text(results)
    )


def test_adoption_that_was_not_measured_gives_way_to_the_next_evidence(
    results: Results,
) -> None:
    results = changed(unmeasured(results, "adoption"), {"comparisons": []})
    assert "Judge reward: PPO 1.10 [0.90, 1.30], DPO 1.10" in text(results)
    others = ("reward", "win_rate_vs_sft", "kl_to_reference", "cost.device_seconds")
    said = text(unmeasured(results, *others))
    assert "How far the behaviour moved was not measured for both methods." in said
    assert "Drift from the reference was not measured for both methods." in said
    assert "Device time was not measured for both methods." in said


@pytest.mark.parametrize("name", ["ppo", "dpo"])
def test_one_method_alone(results: Results, name: str) -> None:
    said = text(only(results, "sft", name))
    assert said.startswith(f"Only {name.upper()} was run, so there is nothing to compare")
    assert f"{name.upper()}: exact adoption 0." in said
    assert verdict(only(results, "sft", name)).bullets == ()
    assert "nats per response" in said and "against" not in said


def test_sft_alone_and_a_third_method(results: Results) -> None:
    third = changed(results, {"methods.ipo": method(0.5, 1.5, 1.5, sft=stage(update=1.0))})
    assert "IPO: exact adoption 0.500" in text(third)
    assert "nothing to compare" in text(only(results, "sft"))


def test_failed_and_collapsed_runs_are_in_the_verdict(results: Results) -> None:
    runs = {"completed": 1, "failed": 2, "collapsed": 1}
    results = changed(results, {"methods.ppo.runs": runs})
    assert "PPO: 1 runs completed, 2 failed, 1 collapsed; its differences" in text(results)


def test_one_seed_is_said_and_several_are_not_called_one(results: Results) -> None:
    assert "One seed: a direction, no verdict. What would decide: rlhf-compare compare" in text(
        results
    )
    assert '--recipe tiny --seeds "0 1 2".' in text(results)
    assert any("not training luck" in caveat for caveat in caveats(results))
    results = changed(results, {"provenance.seeds": [0, 1, 2]})
    assert "One seed" not in text(results)
    assert any(caveat.startswith("3 seeds (0, 1, 2)") for caveat in caveats(results))


def test_caveats_from_the_numbers(results: Results) -> None:
    before = " ".join(caveats(results))
    for word in ("over-optimisation", "above the bound", "unaccounted", "changed", "add up"):
        assert word not in before
    results = also(
        results,
        against_sft("reward.proxy", "ppo", 1.3, 0.2),
        against_sft("reward.held_out", "ppo", -0.5, 0.1),
    )
    results = changed(
        unmeasured(results, "entropy"),
        {
            "methods.dpo.kl_to_reference.efficiency": estimate(1.02, 0.1),
            "methods.dpo.cost.device_seconds.path_total": 45.0,
            "provenance.dirty": True,
            "provenance.ledger.kept": results.provenance.ledger.kept - 7,
        },
    )
    after = " ".join(caveats(results))
    assert "PPO raised the proxy reward by 1.3 while the judge's fell by 0.5" in after
    assert "DPO's efficiency of 1.020 is above the bound of 1: its interval reaches" in after
    assert "DPO's stages add up to 30.0 s, its path to 45.0 s" in after
    assert "7 rows are unaccounted for" in after
    assert "changed since its commit" in after
    assert "Not measured for any method: entropy." in after
    results = also(results, compared("kl_to_reference.efficiency", "ppo", "dpo", -0.1, 0.2))
    assert "itself required" not in text(results)  # a share above 1 is no share


def also(results: Results, *rows: Comparison) -> Results:
    """Results with further comparisons."""
    return changed(results, {"comparisons": [*results.comparisons, *rows]})


@pytest.mark.parametrize(
    ("proxy", "held_out", "said"),
    [
        ((1.3, 0.2), (-0.5, 0.1), True),
        ((1.3, 0.2), (-0.0007, 0.25), False),  # the fall is within noise
        ((0.1, 0.2), (-0.5, 0.1), False),  # so is the rise
        ((1.3, 0.2), (0.5, 0.1), False),
    ],
)
def test_over_optimisation_needs_both_paired_intervals(
    results: Results, proxy: tuple[float, float], held_out: tuple[float, float], said: bool
) -> None:
    fallen = {"methods.ppo.reward.held_out": estimate(-0.2, 0.1)}  # as means alone
    results = changed(results, fallen)
    assert "over-optimisation" not in " ".join(caveats(results))
    results = also(
        results,
        against_sft("reward.proxy", "ppo", *proxy),
        against_sft("reward.held_out", "ppo", *held_out),
    )
    assert ("over-optimisation" in " ".join(caveats(results))) is said


def level_at(results: Results, ppo: tuple[float, float], dpo: tuple[float, float]) -> Results:
    """Gains over SFT: (mean, half width)."""
    gains = {"ppo": ppo, "dpo": dpo}
    rows = [against_sft("adoption.exact", name, *gain) for name, gain in gains.items()]
    reached = {
        f"methods.{name}.adoption.exact": estimate(0.05 + gain, 0.02)
        for name, (gain, _) in gains.items()
    }
    return changed(also(results, *rows), reached)


def test_where_neither_learned_nobody_wins(results: Results) -> None:
    """DPO's gain of 4.8e-6 excludes 0 and is no behaviour that anybody could see."""
    results = level_at(results, (0.0, 1e-9), (4.8e-6, 1e-7))
    first = verdict(results).answer
    assert first.startswith(
        "Neither PPO nor DPO learned the behaviour: exact adoption of PPO 0.050"
    )
    assert "SFT 0.050 [0.030, 0.070] (p0)." in first
    said = text(results)
    for word in ("further", "higher", "The behaviour itself required"):
        assert word not in said
    assert "Exact KL: PPO 4.60 [4.10, 5.10], DPO 4.90" in said and "3.0 times" in said


def test_where_neither_is_shown_to_have_learned_it_says_shown(results: Results) -> None:
    results = level_at(results, (0.1, 0.2), (0.0, 0.005))
    assert verdict(results).answer.startswith("Neither PPO nor DPO is shown to have learned")
    assert "further" not in text(results)


def test_one_that_learned_and_one_that_did_not(results: Results) -> None:
    results = level_at(results, (0.0, 0.005), (0.88, 0.02))
    said = text(results)
    assert "PPO did not learn the behaviour: exact adoption of PPO 0.050" in said
    assert "DPO moved further" in said and "DPO did not" not in said
    assert "The behaviour itself required" not in said


def test_levels_without_a_paired_difference_are_read_from_both_intervals(
    results: Results,
) -> None:
    paths = [f"methods.{name}.adoption.exact" for name in ("ppo", "dpo", "sft")]
    results = changed(results, dict.fromkeys(paths[:2], estimate(0.06, 0.02)))
    assert verdict(results).answer.startswith("Neither PPO nor DPO is shown to have learned")
    results = changed(results, dict.fromkeys(paths, estimate(0.06)))
    assert "Neither" not in text(results)  # bare means say nothing of a level


def test_a_method_alone_that_did_not_learn(results: Results) -> None:
    results = also(only(results, "sft", "ppo"), against_sft("adoption.exact", "ppo", 0.0, 0.005))
    assert "PPO did not learn the behaviour" in text(results)


def test_a_preference_page_compares_the_held_out_reward(results: Results) -> None:
    chapter = method(0.5, 1.5, 1.5, sft=stage(update=1.0))
    row = compared("reward.held_out", "ppo", "dpo", 0.4, 0.1)
    rows = [
        row,
        against_sft("reward.held_out", "ppo", 0.8, 0.1),
        against_sft("reward.held_out", "dpo", 0.4, 0.1),
    ]
    results = changed(
        results,
        {
            "recipe.task": {"name": "preference"},
            "methods.chapter": chapter,
            "comparisons": rows,
        },
    )
    results = unmeasured(results, "adoption", "kl_to_reference.efficiency")
    said = text(results)
    assert "PPO moved further: judge reward" in said and "(PPO - DPO: 0.40" in said
    assert "not measured" not in said and "chapter: judge reward 1.10" in said
    lower = [against_sft("reward.held_out", name, -0.2, 0.1) for name in ("ppo", "dpo")]
    results = changed(results, {"comparisons": [row, *lower]})
    assert verdict(results).answer.startswith("Neither PPO nor DPO raised the judge reward above")


def test_equal_costs_are_called_equal(results: Results) -> None:
    results = changed(results, {"methods.dpo.cost.device_seconds.path_total": 89.0})
    assert "The paths to PPO and DPO held the device about equally long (90.0 s" in text(results)
    assert "1.0 times" not in text(results)


def test_shares_of_drift_whose_difference_is_not_shown(results: Results) -> None:
    """Two shares without their difference would invite a winner."""
    assert "60 %" not in text(results)
    results = also(results, compared("kl_to_reference.efficiency", "ppo", "dpo", -0.1, 0.2))
    assert (
        "The behaviour itself required at least 50 % of PPO's drift and 60 % of DPO's "
        "(PPO - DPO: -0.10 [-0.30, 0.10]; no difference shown)." in text(results)
    )


def test_what_a_method_says_of_its_settings_is_a_caveat(results: Results) -> None:
    said = ["was trained with another loss."]
    results = changed(results, {"methods.dpo.caveats": said})
    assert "DPO was trained with another loss." in caveats(results)


def test_a_kl_that_theory_rules_out_is_a_caveat(results: Results) -> None:
    # kl_bin(0.93 || 0.05) = 0.93 log(18.6) + 0.07 log(0.07 / 0.95) = 2.536 nats
    assert "meters is wrong" not in " ".join(caveats(results))
    results = changed(results, {"methods.dpo.kl_to_reference.exact": estimate(2.4, 0.2)})
    assert "meters is wrong" not in " ".join(caveats(results))  # the interval reaches the floor
    results = changed(results, {"methods.dpo.kl_to_reference.exact": estimate(2.4, 0.1)})
    assert "DPO's KL of at most 2.5 nats is below the 2.54" in " ".join(caveats(results))
    assert caveats(changed(results, {"methods.dpo.adoption.exact": estimate(1.0000005)}))
