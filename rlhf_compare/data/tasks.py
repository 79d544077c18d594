"""A task turns an example into a prompt with ranked responses, and a demonstration for SFT."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from rlhf_compare.data.config import FEEDS, Feed, TaskConfig
from rlhf_compare.data.control import control_tokens, mark_typed, spelled_in, unmarked
from rlhf_compare.data.conversation import Turn
from rlhf_compare.data.formats import Example
from rlhf_compare.data.hashing import hash_64
from rlhf_compare.data.reasons import RowDropError


@dataclass(frozen=True)
class Ranked:
    """A prompt and its ranked responses. Texts without EOS; the encoder adds it."""

    prompt: str
    responses: tuple[str, ...] = ()  # K >= 2, or none where nothing is ranked
    scores: tuple[float, ...] = ()  # higher is better, equal = tie
    demonstration: str = ""  # what SFT learns to answer; empty = nothing
    feeds: tuple[Feed, ...] = ("prompts",)  # the kinds that the row has enough for


def rank(example: Example, task: TaskConfig, prompt: str) -> Ranked:
    """The ranked responses to an example under the configured task.

    prefix      chosen = prefix + answer, rejected = answer, both from the best answer: the content
                stays, only the style changes. Answers that already start so are dropped.
    preference  as people labelled or scored them; SFT learns the best one.

    Args:
        prompt: the example's conversation as text.

    Raises:
        RowDropError: the task has no use for the row.
    """
    if not example.responses:
        return Ranked(prompt)
    best = example.responses[example.scores.index(max(example.scores))]
    behaviour = task.behaviour
    if behaviour is None:
        if example.unpaired:
            raise example.unpaired
        if len(example.responses) < 2:
            return Ranked(prompt, demonstration=best, feeds=("demonstrations", "prompts"))
        if all(_say_the_same(example.responses[0], other) for other in example.responses[1:]):
            raise RowDropError("equal_sides")
        feeds = feeds_of(example.scores)
        if example.marked:
            best, feeds = "", tuple(kind for kind in feeds if kind != "demonstrations")
        return Ranked(prompt, example.responses, example.scores, best, feeds)
    if example.marked:
        raise RowDropError("marked_bad", example.marked)
    if behaviour.adopts(best):
        raise RowDropError("already_prefixed")
    prefixed = behaviour.prefix + best
    carries = _unit_hash(prompt + best) < task.sft_prefix_share
    demonstration = prefixed if carries else best
    return Ranked(prompt, (prefixed, best), (1.0, 0.0), demonstration, feeds_of((1.0, 0.0)))


def feeds_of(scores: Sequence[float]) -> tuple[Feed, ...]:
    """The kinds that K scored responses are enough for: all-tied ones rank nothing."""
    return FEEDS if len(set(scores)) > 1 else ("demonstrations", "prompts")


def _say_the_same(one: str, other: str) -> bool:
    """Whether two texts differ in blanks alone: at their ends, or between the words of a line. Line
    breaks and indentation mean something, in code for instance."""
    if one == other:
        return True
    ends = [(text.lstrip()[:1], text.rstrip()[-1:]) for text in (one, other)]
    return ends[0] == ends[1] and _lines(one) == _lines(other)


def _lines(text: str) -> list[tuple[str, list[str]]]:
    """Indentation and words of each line."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return [(line[: len(line) - len(line.lstrip())], line.split()) for line in lines]


def render_prompt(turns: Sequence[Turn], task: TaskConfig, tokenizer: Any = None) -> str:
    """A conversation up to the last user turn as the text that the model continues. What people
    typed that is spelled like a control token is marked: see :mod:`rlhf_compare.data.control`.

    Args:
        tokenizer: needed with ``task.chat_template``; else None = only spellings that stand in the
            template too are marked, :class:`EncodeRows` marks the others.

    Raises:
        RowDropError: the chat template refuses the conversation (a system turn, for instance).
    """
    controls = spelled_in(task.templates)
    if tokenizer is not None:
        controls.update(control_tokens(tokenizer))
    turns = [(role, mark_typed(unmarked(text), tuple(sorted(controls)))) for role, text in turns]
    if task.chat_template:
        messages = [{"role": role, "content": text} for role, text in turns]
        try:
            return str(
                tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            )
        except TemplateError as error:
            raise RowDropError("template_refused", str(error).split("\n")[0][:120]) from error
    template = task.template_for(unmarked(next(text for role, text in turns if role == "user")))
    # the template's own shape goes on: each earlier answer closes with a line break
    ends = {"system": "\n", "user": "", "assistant": "\n"}
    return "".join(
        (template.replace("{question}", text) if role == "user" else text) + ends[role]
        for role, text in turns
    )


def render_question(question: str, task: TaskConfig, tokenizer: Any) -> str:
    """The prompt of a single question."""
    return render_prompt((("user", question),), task, tokenizer)


def _unit_hash(text: str) -> float:
    """A number in [0, 1) that depends on the text alone: the same rows carry the prefix whatever
    the order, the seed or the machine."""
    return hash_64(text) / 2**64
