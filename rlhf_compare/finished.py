"""What a comparison leaves behind, for those who read it and run nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    """

    recipe: Recipe
    evaluations: Mapping[str, Mapping[int, Stage]]
    stages: Mapping[str, Stage]
    failed: Mapping[str, Sequence[int]]
    reasons: Mapping[str, str]
