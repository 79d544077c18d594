"""What is said of an answer: the fields of ``ask --json``. docs/ask.md lists them."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One policy's answer to one question; None = does not apply, or not measured.

    policy     column of the report, for instance ``ppo``
    label      what the report calls it, for instance ``PPO``
    seed       it was trained under
    text       the answer, without control tokens
    opens_with_marker  whether it opens with the task's marker
    adoption   probability that the policy opens its answer to this prompt with the marker's tokens
    kl         KL to the reference, exact, nats per response: along the prefix by teacher forcing,
               after it along this answer
    kl_bound   upper bound of it, where no single model has the policy's distribution
    reward     of the reward model that methods train against
    judge      of the reward model that no policy saw
    tokens     of the answer, its end token included
    sampled_tokens  tokens that were sampled for it
    ended      whether it ended by itself; False = cut at ``max_new_tokens``
    """

    policy: str
    label: str
    seed: int
    text: str
    opens_with_marker: bool | None
    adoption: float | None
    kl: float | None
    kl_bound: float | None
    reward: float | None
    judge: float | None
    tokens: int
    sampled_tokens: int
    ended: bool


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How answers are drawn.

    temperature     None = greedy
    seed_of_draw    of the sampling; the same for every policy and question
    max_new_tokens  of an answer
    """

    temperature: float | None
    seed_of_draw: int
    max_new_tokens: int


@dataclass(frozen=True, kw_only=True)
class Asked(Drawing):
    """One question and its answers.

    question       as it was given
    prompt         the text that every policy continued
    prompt_tokens  of it
    recipe         its name
    marker         by which an answer is told to have the asked-for style; None = the task has none
    answers        in the report's order, seed after seed
    missing        stages that are not there: ``stage``, ``why`` and the ``command`` that trains it
    """

    question: str
    prompt: str
    prompt_tokens: int
    recipe: str
    marker: str | None
    answers: list[Answer]
    missing: list[dict[str, str]]
