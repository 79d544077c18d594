"""How far those that judge are independent of what they judge."""

from rlhf_compare.reporting.comparisons import contenders
from rlhf_compare.reporting.doctor import trained_against_reward
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.recipe_facts import section
from rlhf_compare.reporting.schema import Results

_JUDGED = "reward.held_out"


def independence(results: Results) -> list[str]:
    """Of the judge, of the doctor, and of the prompts that settings were chosen on."""
    return [*_judge(results), *_doctor(results), *_search(results)]


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


def _search(results: Results) -> list[str]:
    """What the recipe declares of the search for settings, and for which columns."""
    grids = section(results, "tuning").get("grids")
    tried = set(grids) if isinstance(grids, dict) else set()
    without = [name for name in contenders(results) if name not in tried]
    if not tried:
        return [
            "The recipe declares no search (tuning:), so how the settings were chosen, on which "
            "prompts and at what cost is not known here."
        ]
    named = {name: label_of(results, name) for name in contenders(results)}
    covered = ", ".join(label for name, label in named.items() if name in tried) or "no column"
    listed = f" No grid covers {'; '.join(named[name] for name in without)}." if without else ""
    return [
        f"The recipe declares a search of equal size for {covered} on prompts that judge nothing "
        f"(make tune, which prints its cost; it is in no cost here).{listed} Whether these "
        "settings are those that the search chose is not checked."
    ]
