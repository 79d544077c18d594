"""Which policies and reward models of a recipe are trained, and what trains the others."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rlhf_compare.errors import UserError
from rlhf_compare.inputs import data_inputs, method_inputs, reward_inputs, sft_inputs
from rlhf_compare.recipe import Recipe
from rlhf_compare.rewards import REWARD_STAGES, RewardRole, reward_roles, starts_from_sft
from rlhf_compare.runs.finding import StageFinder
from rlhf_compare.runs.identity import Stage


@dataclass(frozen=True, kw_only=True)
class Typed:
    """What the user typed that decides which stages are meant, so that another command can be named
    that means the same ones."""

    recipe: Path
    runs: Path
    overrides: Sequence[str]

    def command(self, verb: str, seed: int | None) -> str:
        """The command of that verb, as a shell reads it; ``seed``: None = it takes none."""
        words = ["rlhf-compare", verb, "--recipe", str(self.recipe)]
        words += ["--runs", str(self.runs)] if self.runs != Path("runs") else []
        words += ["--seeds", str(seed)] if seed is not None else []
        return shlex.join([*words, *self.overrides])


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A stage that is not there: its directory's name, why it does not count, what trains it."""

    stage: str
    why: str
    command: str

    def __str__(self) -> str:
        return f"{self.stage} {self.why}; to train it: {self.command}"


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What is there under one seed.

    policies  column of the report -> its stage, in the report's order, SFT first
    rewards   role -> its stage
    missing   the stages of the recipe that are not there
    """

    seed: int
    policies: dict[str, Stage]
    rewards: dict[RewardRole, Stage]
    missing: list[Missing] = field(default_factory=list)


class Search:
    """Looks for the finished stages of one recipe; runs, makes and locks none.

    Raises:
        UserError: there is no SFT model, the start and the reference of every method.
    """

    def __init__(self, recipe: Recipe, typed: Typed) -> None:
        self.recipe, self.typed = recipe, typed
        self.root = typed.runs / recipe.name
        self._finder = StageFinder(self.root, recipe.seed)

    @cached_property
    def data(self) -> Stage:
        return self._shared("data", data_inputs(self.recipe))

    @cached_property
    def sft(self) -> Stage:
        return self._shared("sft", sft_inputs(self.recipe, self.data.inputs_hash))

    def _shared(self, name: str, inputs: dict[str, object]) -> Stage:
        stage = self._finder.find(name, None, inputs)
        if stage is None:
            why = self._finder.why_not(name, None, inputs)
            raise UserError(
                f"{self.root / name} {why}, so no policy of {self.recipe.name} can answer; to "
                f"train them: {self.typed.command('compare', None)}"
            )
        return stage

    def under(self, seed: int) -> Trained:
        """What is trained under a seed."""
        sft = self.sft
        rewards: dict[RewardRole, Stage] = {}
        missing: list[Missing] = []
        before = "sft" if starts_from_sft(self.recipe) else "data"
        inputs = reward_inputs(self.recipe, {before: getattr(self, before).inputs_hash})
        for role in reward_roles(self.recipe):
            name = REWARD_STAGES[role]
            # no verb trains the judge alone
            verb = "reward" if role == "proxy" else "evaluate"
            if (found := self._find(name, verb, seed, inputs, missing)) is not None:
                rewards[role] = found
        policies = {"sft": sft}
        for name in self.recipe.methods[1:]:
            method = self.recipe.method(name)
            verb = method.name.replace("_", "-")
            hashes = {"sft": sft.inputs_hash}
            if "reward" in method.needs:
                if "proxy" not in rewards:
                    why = f"needs {REWARD_STAGES['proxy']}-{seed}, which is not there"
                    command = self.typed.command(verb, seed)
                    missing.append(Missing(stage=f"{name}-{seed}", why=why, command=command))
                    continue
                hashes["reward"] = rewards["proxy"].inputs_hash
            given = method_inputs(self.recipe, name, hashes)
            if (found := self._find(name, verb, seed, given, missing)) is not None:
                policies[name] = found
        return Trained(seed=seed, policies=policies, rewards=rewards, missing=missing)

    def _find(
        self,
        name: str,
        verb: str,
        seed: int,
        inputs: dict[str, object],
        missing: list[Missing],
    ) -> Stage | None:
        stage = self._finder.find(name, seed, inputs)
        if stage is None:
            why = self._finder.why_not(name, seed, inputs)
            command = self.typed.command(verb, seed)
            missing.append(Missing(stage=f"{name}-{seed}", why=why, command=command))
        return stage

    def first(self) -> Trained:
        """What is trained under seed 0; where no method is, under the lowest seed that has one."""
        names = "|".join(map(re.escape, self.recipe.methods[1:])) or "(?!)"
        directory = re.compile(rf"(?:{names})-(\d{{1,10}})")
        found = (directory.fullmatch(path.name) for path in self.root.glob("*-*"))
        seeds = {int(match[1]) for match in found if match}
        for seed in sorted(seeds | {0}):
            trained = self.under(seed)
            if len(trained.policies) > 1:
                return trained
        return self.under(0)
