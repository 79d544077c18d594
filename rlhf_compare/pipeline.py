"""The method on one page:

    data > SFT > reward model > PPO \\
               \\--------------> DPO  > evaluation > report

Stages meet only through run directories. A stage whose inputs' hash is unchanged is not run again;
a stage's inputs are its sections of the recipe and the hashes of the stages it reads.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
from peft import LoraConfig

from rlhf_compare import __version__
from rlhf_compare.data.prepare import prepare
from rlhf_compare.data.sources import fingerprint
from rlhf_compare.data.store import DataDirectory
from rlhf_compare.dpo.trainer import dpo_arguments, train_dpo
from rlhf_compare.errors import RecipeError, StageFailedError
from rlhf_compare.evaluation.stage import evaluate_policy
from rlhf_compare.models.adapters import lora_config
from rlhf_compare.models.tokenizer import get_tokenizer
from rlhf_compare.ppo.config import PPOConfig
from rlhf_compare.ppo.stage import ppo_arguments, train_ppo
from rlhf_compare.recipe import Recipe
from rlhf_compare.reward.trainer import reward_arguments, train_reward
from rlhf_compare.runs.directory import RunDirectory, content_hash, write_json
from rlhf_compare.runs.provenance import provenance
from rlhf_compare.runs.stage import StageContext
from rlhf_compare.runs.tracking import describe_tracking
from rlhf_compare.sft.trainer import sft_arguments, train_sft

logger = logging.getLogger(__name__)

# The stages that each method's policy needs; what a path costs is their sum.
PATHS = {"sft": ("sft",), "ppo": ("sft", "reward", "ppo"), "dpo": ("sft", "dpo")}
_TRAINING = ("sft", "reward", "ppo", "dpo")


@dataclass(frozen=True)
class Stage:
    """A finished stage: where it is and what its outcome depends on."""

    directory: RunDirectory
    inputs_hash: str


@dataclass
class Pipeline:
    """Runs the stages of one recipe, each at most once.

    Args:
        recipe: the experiment.
        runs: run root; this recipe's stages go to ``runs/<recipe>/``.
        say: prints a line for the user.
    """

    recipe: Recipe
    runs: Path = Path("runs")
    say: Callable[[str], None] = print
    failed: dict[str, list[int]] = field(default_factory=dict)  # method -> seeds that failed

    def __post_init__(self) -> None:
        # a run directory is the cache; a hidden one would make a second run's stages look cheaper
        datasets.disable_caching()
        self._resolved = self.recipe.resolved()
        self._finished: dict[str, Stage] = {}
        self._said_tracking = False

    def check(self) -> None:
        """Build every stage's arguments before anything trains, so that no fault waits for hours.

        Raises:
            RecipeError: a stage's arguments are refused, or its sequences are longer than the
                model has positions.
        """
        self._check_lengths()
        lora_config(self.recipe.model.lora)
        recipe, where = self.recipe, str(self.root / "check")
        for build, section in (
            (sft_arguments, recipe.sft),
            (reward_arguments, recipe.reward),
            (ppo_arguments, recipe.ppo),
            (dpo_arguments, recipe.dpo),
        ):
            build(section, where, recipe.seed)

    def _check_lengths(self) -> None:
        recipe = self.recipe
        positions = (recipe.model.config or {}).get("n_positions")
        if positions is None:
            return
        prompt = recipe.data.max_prompt_length
        response = self._resolved["ppo"].get("response_length", PPOConfig.response_length)
        longest = {
            "data.max_length": recipe.data.max_length,
            "data.max_prompt_length + ppo.response_length": prompt + response,
            "data.max_prompt_length + evaluation.max_new_tokens": prompt
            + recipe.evaluation.max_new_tokens,
        }
        for name, length in longest.items():
            if length > positions:
                raise RecipeError(
                    f"{name} = {length} is more than model.config.n_positions = {positions}; "
                    "lower the former or raise the latter"
                )

    @property
    def lora(self) -> LoraConfig | None:
        """A fresh configuration each time: PEFT writes into the one it is given."""
        return lora_config(self.recipe.model.lora)

    @property
    def root(self) -> Path:
        return self.runs / self.recipe.name

    # --- the stages

    def data(self) -> Stage:
        recipe = self.recipe
        inputs = {
            **self._sections("data", "task"),
            "questions": recipe.evaluation.questions,
            "tokenizer": self._start("dtype"),
            "source": fingerprint(recipe.data),
        }

        def run(context: StageContext) -> None:
            made: dict[str, Any] = {}

            def tokenizer(texts: Sequence[str]) -> Any:
                made["tokenizer"] = get_tokenizer(recipe.model, texts)
                return made["tokenizer"]

            with context.meter.phase("data"):
                prepared = prepare(recipe.data, recipe.task, tokenizer, recipe.evaluation.questions)
                context.data.write(prepared, made["tokenizer"])
            self.say(str(prepared.ledger))

        return self._stage("data", None, inputs, run)

    def sft(self) -> Stage:
        data = self.data()
        inputs = {**self._sections("sft"), "model": self._start(), "data": data.inputs_hash}
        return self._stage(
            "sft", None, inputs, lambda c: train_sft(c, self.recipe.sft, self.recipe.model)
        )

    def reward(self, seed: int) -> Stage:
        sft = self.sft()
        inputs = {
            **self._sections("reward"),
            "lora": self.recipe.model.lora,
            "sft": sft.inputs_hash,
        }
        return self._stage(
            "reward",
            seed,
            inputs,
            lambda c: train_reward(c, self.recipe.reward, sft.directory.model, self.lora),
        )

    def ppo(self, seed: int) -> Stage:
        sft, reward = self.sft(), self.reward(seed)
        inputs = {**self._sections("ppo"), "reward": reward.inputs_hash}
        return self._stage(
            "ppo",
            seed,
            inputs,
            lambda c: train_ppo(
                c, self.recipe.ppo, sft.directory.model, reward.directory.model, self.lora
            ),
        )

    def dpo(self, seed: int) -> Stage:
        sft = self.sft()
        inputs = {**self._sections("dpo"), "lora": self.recipe.model.lora, "sft": sft.inputs_hash}
        return self._stage(
            "dpo",
            seed,
            inputs,
            lambda c: train_dpo(c, self.recipe.dpo, sft.directory.model, self.lora),
        )

    def policy(self, method: str, seed: int) -> Stage:
        """The stage whose model is a method's policy."""
        if method == "sft":
            return self.sft()
        return {"ppo": self.ppo, "dpo": self.dpo}[method](seed)

    def evaluate(self, method: str, seed: int, with_reward: bool = True) -> Stage:
        """Measure a method's policy; without a reward model its reward stays unmeasured."""
        sft, policy = self.sft(), self.policy(method, seed)
        reward = self.reward(seed) if with_reward else None
        inputs = {
            **self._sections("evaluation", "task"),
            "policy": policy.inputs_hash,
            "reward": reward.inputs_hash if reward else None,
        }
        return self._stage(
            f"evaluate-{method}",
            seed,
            inputs,
            lambda c: evaluate_policy(
                c,
                self.recipe.evaluation,
                self.recipe.task,
                policy.directory.model,
                sft.directory.model,
                reward.directory.model if reward else None,
            ),
        )

    def compare(
        self, methods: Sequence[str], seeds: Sequence[int], with_reward: bool = True
    ) -> dict[str, dict[int, Stage]]:
        """Train and measure methods under the same seeds: method -> seed -> its evaluation.

        A method that fails under one seed is counted and the others go on.

        Raises:
            StageFailedError: a method failed under every seed.
        """
        evaluations: dict[str, dict[int, Stage]] = {method: {} for method in methods}
        for seed in seeds:
            for method in methods:
                try:
                    evaluations[method][seed] = self.evaluate(method, seed, with_reward)
                except StageFailedError as error:
                    if method == "sft" or len(seeds) == 1:
                        raise
                    self.failed.setdefault(method, []).append(seed)
                    self.say(f"{method}, seed {seed} failed: {error}")
        for method, done in evaluations.items():
            if not done:
                raise StageFailedError(f"{method} failed under every seed")
        return evaluations

    # --- running one

    def _stage(
        self,
        name: str,
        seed: int | None,
        inputs: dict[str, Any],
        run: Callable[[StageContext], None],
    ) -> Stage:
        label = name if seed is None else f"{name}-{seed}"
        if label in self._finished:
            return self._finished[label]
        used_seed = self.recipe.seed if seed is None else seed
        identity = {"stage": name, "seed": used_seed, "version": __version__, "inputs": inputs}
        inputs_hash = content_hash(identity)
        directory = RunDirectory(self.root / label)
        stage = Stage(directory, inputs_hash)
        if directory.is_done(inputs_hash):
            self.say(f"{label}: done before, kept ({directory.path})")
        else:
            self.say(f"{label}: running ({directory.path})")
            self._run(stage, identity, run, used_seed)
        self._finished[label] = stage
        return stage

    def _run(
        self, stage: Stage, identity: dict[str, Any], run: Callable[[StageContext], None], seed: int
    ) -> None:
        if identity["stage"] in _TRAINING and not self._said_tracking:
            self._said_tracking = True
            self.say(describe_tracking(self.recipe.tracking))
        record = {**identity, "recipe": self._resolved, "provenance": provenance()}
        stage.directory.start(record)
        context = StageContext(
            name=identity["stage"],
            seed=seed,
            directory=stage.directory,
            data=DataDirectory(self.root / "data"),
            tracking=self.recipe.tracking,
            recipe=self._resolved,
        )
        with context.meter.stage():
            run(context)
        write_json(stage.directory.path / "cost.json", context.meter.as_dict())
        stage.directory.finish(stage.inputs_hash)

    def _start(self, *without: str) -> dict[str, Any]:
        """The model that SFT starts from; how later stages train it is no matter of SFT's."""
        return self.recipe.model.model_dump(mode="json", exclude={"lora", *without})

    def _sections(self, *names: str) -> dict[str, Any]:
        return {name: self._resolved[name] for name in names}
