"""What a comparison leaves behind, for those who read it and run nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rlhf_compare.recipe import Recipe
from rlhf_compare.runs.identity import Stage


@dataclass(frozen=True, kw_only=True)
class Finished:
    """One comparison whose stages are done.

    recipe       the experiment
    evaluations  method -> seed -> its evaluation
    stages       all that were run or found done, by their directories' names
    failed       method -> the seeds under which it failed
    reasons      method -> why the first of its failures came
    asked        two methods -> seed -> what a judge behind an endpoint said of their answers
    labels       what it said of held-out labelled pairs; None where it was not asked
    unasked      why it was not asked, or not about everything; empty where there is nothing to say
    """

    recipe: Recipe
    evaluations: Mapping[str, Mapping[int, Stage]]
    stages: Mapping[str, Stage]
    failed: Mapping[str, Sequence[int]]
    reasons: Mapping[str, str]
    asked: Mapping[tuple[str, str], Mapping[int, Stage]] = field(default_factory=dict)
    labels: Stage | None = None
    unasked: str = ""
