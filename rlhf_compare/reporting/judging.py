"""How far those that judge are independent of what they judge."""

from rlhf_compare.reporting.doctor import trained_against_reward
from rlhf_compare.reporting.recipe_facts import section
from rlhf_compare.reporting.schema import Results

_JUDGED = "reward.held_out"


def independence(results: Results) -> list[str]:
    """Of the judge and of the doctor."""
    return [*_judge(results), *_doctor(results)]


def _judge(results: Results) -> list[str]:
    scored = any(results.methods[name].value(_JUDGED) is not None for name in results.methods)
    if not scored:
        if trained_against_reward(results) and not results.provenance.ledger.judge_rows:
            return [
                "No rows were kept for a judge (data.judge_share), so the only reward model here "
                "is the one that a policy was trained to please."
            ]
        return []
    rows = results.provenance.ledger.judge_rows
    if not rows:
        return []
    backbone = section(results, "reward").get("backbone")
    start = (
        "from the SFT model, as every policy does"
        if backbone is None
        else "from the same backbone (reward.backbone)"
    )
    return [
        f"The judge learned from {rows:,} rows of its own, which taught nobody else, but it and "
        f"the reward model that policies are trained against both start {start}, in one setting: "
        "mistakes that come from there they share, and no agreement between them can show these."
    ]


def _doctor(results: Results) -> list[str]:
    if not results.reward_models:
        return []
    return [
        "The doctor examines a reward model on all held-out rows, those of the judging, the probe "
        "and the tuning prompts together; whoever changes reward: after reading its checks has "
        "looked at prompts that judge."
    ]
