"""The policies that answer: loaded once, asked as often as somebody likes."""

import math
from collections.abc import Sequence
from dataclasses import asdict

import torch

from rlhf_compare.answers.answer import Answer, Asked, Drawing
from rlhf_compare.answers.trained import Trained
from rlhf_compare.data.control import unmarked
from rlhf_compare.data.encoding import encode_prompt, marker_ids
from rlhf_compare.data.reasons import RowDropError
from rlhf_compare.data.tasks import render_question
from rlhf_compare.errors import UserError
from rlhf_compare.evaluation.measure import Harness
from rlhf_compare.models.policy import load_policy
from rlhf_compare.models.positions import position_limit
from rlhf_compare.models.sampler import ModelSampler, Sampler
from rlhf_compare.models.scoring import Scorer, load_reward
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.recipe import Recipe


class Panel:
    """Policies and reward models of a recipe under one or several seeds, on one device.

    Args:
        trained: of each seed, what is there; the SFT model is the same under all.

    Raises:
        StageFailedError: a method's choice rests on a model that is gone.
        RecipeError: a model cannot be loaded.
    """

    def __init__(self, recipe: Recipe, trained: Sequence[Trained], drawing: Drawing) -> None:
        self.recipe, self.trained, self.drawing = recipe, trained, drawing
        device = "cuda" if torch.cuda.is_available() else "cpu"
        sft = trained[0].policies["sft"].directory
        self.tokenizer = load_tokenizer(sft.model)
        self.reference = load_policy(sft.model).to(device).eval()
        change = {"max_new_tokens": drawing.max_new_tokens, "samples_per_prompt": 1}
        config = recipe.evaluation.model_copy(update=change)
        self._members: list[tuple[str, int, Sampler, Harness]] = []
        for one in trained:
            scorers = {
                f"reward.{role}": Scorer(
                    load_reward(stage.directory.model, sft.model, device), self.tokenizer, 1
                )
                for role, stage in one.rewards.items()
            }
            harness = Harness(
                reference=self.reference,
                scorers=scorers,
                tokenizer=self.tokenizer,
                task=recipe.task,
                config=config,
            )
            for name, stage in one.policies.items():
                policy: Sampler = (
                    ModelSampler(self.reference)
                    if name == "sft"
                    else recipe.method(name).load(stage.directory.path, device)
                )
                self._members.append((name, one.seed, policy, harness))

    def prompt(self, question: str) -> tuple[str, list[int]]:
        """The text and the token ids of a question's prompt, by the encoder that made the training
        rows.

        Raises:
            UserError: it is empty or no text, the chat template refuses it, or the model has no
                positions for it and an answer.
        """
        if not question.strip():
            raise UserError("question: it is empty; write one, for instance 'What is Python?'")
        try:
            question.encode()
        except UnicodeEncodeError as error:
            raise UserError("question: it is not UTF-8; type it in a UTF-8 terminal") from error
        try:
            text = render_question(question, self.recipe.task, self.tokenizer)
        except RowDropError as error:
            raise UserError(f"question: the chat template refuses it: {error.detail}") from error
        ids = encode_prompt(self.tokenizer, text)
        self._require_room(len(ids))
        return unmarked(text), ids

    def _require_room(self, tokens: int) -> None:
        limit, answer = position_limit(self.reference), self.drawing.max_new_tokens
        behaviour = self.recipe.task.behaviour
        # exact adoption reads the whole marker, whatever the answer's length
        least = 1 if behaviour is None else len(marker_ids(self.tokenizer, behaviour))
        if limit is None or tokens + max(answer, least) <= limit:
            return
        room = limit - tokens
        shorter = f" or --max-new-tokens {room}" if room >= least else ""
        raise UserError(
            f"question: its prompt has {tokens:,} tokens and an answer up to {answer:,}, the model "
            f"has {limit:,} positions; ask a shorter question{shorter}"
        )

    def ask(self, question: str) -> Asked:
        """The answers of all policies; see :meth:`prompt` for what is refused."""
        prompt, ids = self.prompt(question)
        behaviour = self.recipe.task.behaviour
        return Asked(
            question=question,
            prompt=prompt,
            prompt_tokens=len(ids),
            recipe=self.recipe.name,
            marker=None if behaviour is None else behaviour.marker,
            answers=[self._answer(ids, *member) for member in self._members],
            missing=[asdict(lack) for one in self.trained for lack in one.missing],
            **asdict(self.drawing),
        )

    def _answer(
        self, prompt: list[int], name: str, seed: int, policy: Sampler, harness: Harness
    ) -> Answer:
        drawing = self.drawing
        text, numbers = harness.measure_one(
            policy, prompt, drawing.seed_of_draw, drawing.temperature
        )
        opens = numbers.get("adoption.sampled")
        tokens = int(numbers["length"])
        return Answer(
            policy=name,
            label=self.recipe.label(name),
            seed=seed,
            text=text,
            opens_with_marker=None if opens is None else bool(opens),
            adoption=_finite(numbers.get("adoption.exact")),
            kl=_finite(numbers.get("kl_to_reference.exact")),
            kl_bound=_finite(numbers.get("kl_to_reference.bound")),
            reward=_finite(numbers.get("reward.proxy")),
            judge=_finite(numbers.get("reward.held_out")),
            tokens=tokens,
            sampled_tokens=int(numbers.get("tokens_per_answer", tokens)),
            ended=bool(numbers["eos_rate"]),
        )


def _finite(value: float | None) -> float | None:
    """JSON knows neither infinity nor NaN."""
    return value if value is not None and math.isfinite(value) else None
