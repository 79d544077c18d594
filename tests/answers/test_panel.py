"""What is said of an answer is what the harness says; the prompt is that of the training rows."""

from dataclasses import replace
from pathlib import Path

import pytest
from datasets import Dataset

from rlhf_compare.answers.answer import Answer, Drawing
from rlhf_compare.answers.panel import Panel
from rlhf_compare.answers.trained import Search, Trained, Typed
from rlhf_compare.data.config import TaskConfig
from rlhf_compare.data.encoding import EncodeRows
from rlhf_compare.data.store import DataDirectory
from rlhf_compare.data.tasks import render_prompt
from rlhf_compare.errors import UserError
from rlhf_compare.evaluation.measure import Harness, Measurement
from rlhf_compare.models.policy import load_policy
from rlhf_compare.models.sampler import load_model_sampler
from rlhf_compare.models.scoring import Scorer, load_reward
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import Recipe, load_recipe
from tests.micro_recipe import SHORT

GREEDY = Drawing(temperature=None, seed_of_draw=7, max_new_tokens=8)
DRAWN = replace(GREEDY, temperature=1.0)


@pytest.fixture(scope="module")
def recipe(trained: Path) -> Recipe:
    return load_recipe(trained / "micro.yaml")


@pytest.fixture(scope="module")
def found(trained: Path, recipe: Recipe) -> Trained:
    typed = Typed(recipe=trained / "micro.yaml", runs=trained / "runs", overrides=())
    return Search(recipe, typed).under(0)


@pytest.fixture(scope="module")
def rows(trained: Path) -> Dataset:
    return DataDirectory(trained / "runs" / "micro" / "data").eval()


def question_of(prompt: str) -> str:
    before, after = TaskConfig().template.split("{question}")
    return prompt.removeprefix(before).removesuffix(after)


def measured(trained: Path, recipe: Recipe, policy: str, ids: list[int]) -> Measurement:
    """By the harness, one sample of the prompt."""
    runs = trained / "runs" / "micro"
    sft = runs / "sft" / "model"
    tokenizer = load_tokenizer(sft)
    harness = Harness(
        reference=load_policy(sft).eval(),
        scorers={
            f"reward.{name}": Scorer(load_reward(runs / stage / "model", sft), tokenizer, 8)
            for name, stage in (("proxy", "reward-0"), ("held_out", "judge-0"))
        },
        tokenizer=tokenizer,
        task=recipe.task,
        config=recipe.evaluation.model_copy(update={"samples_per_prompt": 1}),
    )
    return harness.measure(load_model_sampler(runs / policy, "cpu"), [ids], DRAWN.seed_of_draw)


def of(answers: list[Answer], policy: str) -> Answer:
    return next(answer for answer in answers if answer.policy == policy)


@pytest.mark.parametrize("policy", ["ppo", "dpo"])
def test_a_drawn_answer_has_the_numbers_of_the_harness(
    trained: Path, recipe: Recipe, found: Trained, rows: Dataset, policy: str
) -> None:
    asked = Panel(recipe, [found], DRAWN).ask(question_of(rows[0]["prompt"]))
    answer = of(asked.answers, policy)
    harness = measured(trained, recipe, f"{policy}-0", rows[0]["prompt_ids"])
    numbers = harness.per_prompt
    assert answer.text == harness.sampled[0][0]
    for value, name in (
        (answer.adoption, "adoption.exact"),
        (answer.kl, "kl_to_reference.exact"),
        (answer.reward, "reward.proxy"),
        (answer.judge, "reward.held_out"),
        (answer.tokens, "length"),
        (answer.ended, "eos_rate"),
        (answer.opens_with_marker, "adoption.sampled"),
    ):
        assert value == pytest.approx(numbers[name][0], rel=1e-5), name
    assert answer.kl is not None and answer.kl > 1e-3


def test_a_greedy_answer_is_the_harness_s(
    trained: Path, recipe: Recipe, found: Trained, rows: Dataset
) -> None:
    asked = Panel(recipe, [found], GREEDY).ask(question_of(rows[0]["prompt"]))
    assert [answer.policy for answer in asked.answers] == list(recipe.methods)
    harness = measured(trained, recipe, "ppo-0", rows[0]["prompt_ids"])
    answer = of(asked.answers, "ppo")
    assert answer.text == harness.answers[0]
    assert answer.adoption == pytest.approx(harness.per_prompt["adoption.exact"][0])
    assert answer.opens_with_marker == bool(harness.per_prompt["adoption.greedy"][0])
    assert of(asked.answers, "sft").kl == 0.0
    assert asked.prompt_tokens == len(rows[0]["prompt_ids"])


def test_a_policy_without_a_model_has_a_bound_and_no_adoption(
    recipe: Recipe, found: Trained
) -> None:
    answer = of(Panel(recipe, [found], GREEDY).ask("What is a bee?").answers, "best_of_n")
    assert answer.adoption is None and answer.kl is None
    assert answer.kl_bound == pytest.approx(0.6931 - 0.5, abs=1e-4)  # log 2 - 1/2
    assert answer.sampled_tokens > answer.tokens and answer.reward is not None


def test_the_prompt_of_a_question_is_that_of_its_row(
    recipe: Recipe, found: Trained, rows: Dataset
) -> None:
    panel = Panel(recipe, [found], GREEDY)
    for row in rows:
        assert panel.prompt(question_of(row["prompt"])) == (row["prompt"], row["prompt_ids"])


@pytest.mark.parametrize("question", ["Say <|endoftext|>.", "{question}?", "  a\n\tb ", "\ufdd0x"])
def test_odd_questions_are_encoded_as_rows_are(
    recipe: Recipe, found: Trained, question: str
) -> None:
    panel = Panel(recipe, [found], GREEDY)
    text = render_prompt((("user", question),), recipe.task)
    batch = {"prompt": [text], "responses": [["a", "b"]], "scores": [[1.0, 0.0]],
             "demonstration": ["a"], "feeds": [["prompts"]]}  # fmt: skip
    encoded = EncodeRows(panel.tokenizer, recipe.data, recipe.task)(batch)
    ids = panel.prompt(question)[1]
    assert ids == encoded["prompt_ids"][0] and panel.tokenizer.eos_token_id not in ids


def test_what_cannot_be_asked(recipe: Recipe, found: Trained) -> None:
    panel = Panel(recipe, [found], GREEDY)
    with pytest.raises(UserError, match=r"question: its prompt has .* the model has 256 positions"):
        panel.ask("why " * 400)
    with pytest.raises(UserError, match="question: it is empty"):
        panel.ask("  ")
    with pytest.raises(UserError, match="question: it is not UTF-8"):
        panel.ask("what \udcff?")


def test_the_longest_answer_that_fits_is_named(recipe: Recipe, found: Trained) -> None:
    tokens = len(Panel(recipe, [found], GREEDY).prompt("What is a bee?")[1])
    room = 256 - tokens
    fits = replace(GREEDY, max_new_tokens=room)
    assert Panel(recipe, [found], fits).ask("What is a bee?").max_new_tokens == room
    with pytest.raises(UserError, match=f"or --max-new-tokens {room}$"):
        Panel(recipe, [found], replace(fits, max_new_tokens=room + 1)).ask("What is a bee?")


def test_a_task_without_a_behaviour_has_no_adoption(recipe: Recipe, found: Trained) -> None:
    plain = recipe.model_copy(update={"task": TaskConfig(name="preference")})
    asked = Panel(plain, [found], GREEDY).ask("What is a bee?")
    answer = of(asked.answers, "ppo")
    assert (asked.marker, answer.adoption, answer.opens_with_marker) == (None, None, None)
    assert answer.kl is not None and answer.reward is not None


def test_adapters_answer_too(tmp_path: Path) -> None:
    file = tmp_path / "micro.yaml"
    dpo = "dpo: {max_steps: 2, learning_rate: 5e-2, gradient_checkpointing: false}\n"
    file.write_text(f"{SHORT}{dpo}")
    recipe = load_recipe(file, ["model.lora={r: 2, lora_alpha: 8}"])
    Pipeline(recipe, tmp_path / "runs", say=lambda _: None).method("dpo", 0)
    found = Search(recipe, Typed(recipe=file, runs=tmp_path / "runs", overrides=())).first()
    answer = of(Panel(recipe, [found], GREEDY).ask("What is a bee?").answers, "dpo")
    assert answer.kl is not None and answer.kl > 1e-4
    assert answer.reward is None  # no reward model is trained
    assert [lack.stage for lack in found.missing] == ["reward-0"]
