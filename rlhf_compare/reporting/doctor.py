"""Reward models that failed the doctor and were trained against all the same."""

from rlhf_compare.reporting.comparisons import contenders
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.recipe_facts import section
from rlhf_compare.reporting.schema import Results


def failed_checks(results: Results) -> dict[str, list[int]]:
    """Names of the checks that failed, each with the seeds whose reward model failed it."""
    found: dict[str, list[int]] = {}
    for model in results.reward_models:
        for check in model.checks:
            if check.verdict == "fail":
                found.setdefault(check.name, []).append(model.seed)
    return found


def trained_against_reward(results: Results) -> list[str]:
    """The methods whose path holds a reward model."""
    return [name for name in contenders(results) if "reward" in results.methods[name].cost.stages]


def overruled(results: Results) -> str | None:
    """One sentence where a method was trained against a reward model that failed; else None."""
    failed, trained = failed_checks(results), trained_against_reward(results)
    if not failed or not trained:
        return None
    names = ", ".join(name.replace("_", " ") for name in failed)
    seeds = sorted({seed for seeds in failed.values() for seed in seeds})
    who = " and ".join(label_of(results, name) for name in trained)
    of_seeds = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    accepted = section(results, "reward").get("accept_failed_doctor") is True
    why = "accepted by reward.accept_failed_doctor" if accepted else "which did not stop the run"
    return (
        f"The reward model that {who} trained against failed {len(failed)} of its checks "
        f"({names}; {of_seeds}), {why}."
    )
