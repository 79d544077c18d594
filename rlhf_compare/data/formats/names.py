"""What the name of a column says of what is in it. Case, blanks, _ and - make no difference."""

import re
from functools import lru_cache

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_a-zA-Z]+")

RESPONSE = {
    "response", "responses", "answer", "answers", "completion", "completions", "output", "outputs",
    "reply", "replies", "generation", "generations", "continuation", "continuations", "candidate",
    "candidates", "solution", "solutions", "target", "targets", "assistant", "bot", "gpt", "ref",
    "summary", "summaries", "distractor", "hypothesis", "resp", "resps",
}  # fmt: skip
CONVERSATION = {
    "message", "messages", "conversation", "conversations", "dialogue", "dialog", "dialogs",
    "dialogues", "chat", "turns", "trajectory",
}  # fmt: skip
GOOD = {
    "chosen", "preferred", "better", "winner", "winning", "win", "won", "positive", "pos",
    "accepted", "accept", "selected", "good", "best", "liked", "desirable", "favored", "favoured",
    "correct", "right", "gold",
}  # fmt: skip
BAD = {
    "rejected", "reject", "dispreferred", "nonpreferred", "unpreferred", "worse", "loser", "losing",
    "lose", "lost", "negative", "neg", "unselected", "unchosen", "bad", "worst", "disliked",
    "undesirable", "declined", "refused", "incorrect", "wrong",
}  # fmt: skip
_NOT = {"non", "not", "un", "less", "least", "dis"}
_MORE = {"more", "most"}
# a text that somebody made better, beside the one it was made from
_REVISED = {"corrected", "revised", "edited", "rewritten", "improved"}
# what somebody says of the responses, not one of them
_JUDGED = {"labelling", "labeling", "judge", "judgement", "judgment", "critique", "evaluation",
           "rationale"}  # fmt: skip
_CARRIERS = RESPONSE | CONVERSATION | {"text", "content", "sample", "example", "y", "model", "side"}

# in the order in which one is taken as the prompt
PROMPTS = ("prompt", "question", "query", "instruction", "problem", "request", "human", "user")
# the prompt where none of the above is there, else joined to it
INPUTS = ("input", "context", "passage", "document", "article", "background", "support")
_PROMPT_CARRIERS = {"user", "text", "input", "message", "messages", "content", "the", "full"}
SYSTEM = {"system", "sys", "systemprompt"}
HISTORY = {"history"}
_EARLIER = {"previous", "prior", "earlier", "past"}
SCORES = {"score", "scores", "rating", "ratings", "reward", "rewards", "votes", "upvotes", "logits"}
RANKS = {"rank", "ranks", "ranking", "rankings"}
# a column whose last word is one of these says something about a text and is none
META = {
    "id", "ids", "model", "models", "source", "sources", "name", "names", "length", "len", "token",
    "tokens", "count", "num", "number", "type", "types", "category", "categories", "language",
    "lang", "hash", "sha", "sha256", "md5", "url", "urls", "date", "time", "timestamp", "policy",
    "policies", "generator", "generators", "level", "severity", "version", "format", "strength",
    "index", "idx", "safe", "metadata",
    "meta", "info", "dataset", "split", "license", "difficulty", "ability", "subject", "domain",
    "topic", "tag", "tags", "style", "status", "author", "annotator", "worker", "title",
} | SCORES | RANKS  # fmt: skip
VERDICTS = {
    "better", "best", "preferred", "preference", "winner", "winning", "choice", "chosen",
    "selected", "verdict", "judgement", "judgment", "vote",
}  # fmt: skip
_VERDICT_CARRIERS = {
    "response", "answer", "output", "completion", "id", "idx", "index", "model", "human", "overall",
    "label", "summary", "side", "strength", "is",
} | VERDICTS  # fmt: skip
_LETTERS = set("abcdefghjk")


@lru_cache(maxsize=4096)
def words(name: str) -> tuple[str, ...]:
    """``betterResponse_id`` -> ``("better", "response", "id")``."""
    return tuple(word.lower() for word in _WORD.findall(name))


def squashed(name: str) -> str:
    return "".join(words(name))


def is_meta(name: str) -> bool:
    """Whether a column says something about a text: its length, its source, its score."""
    spoken = [word for word in words(name) if not is_index(word)]
    return bool(spoken) and spoken[-1] in META


def is_index(word: str) -> bool:
    return word.isdigit() or word in _LETTERS


def side_of(name: str) -> str | None:
    """``chosen`` or ``rejected``, where the name says no more than that."""
    spoken = words(name)
    if spoken and spoken[-1] in META:  # chosen_model is who wrote it
        return None
    letter = {"w": "chosen", "l": "rejected"}
    if len(spoken) == 2 and spoken[1] in letter and spoken[0] in _CARRIERS:
        return letter[spoken[1]]
    rest = [word for word in spoken if word not in _CARRIERS]
    if len(rest) == 1 and rest[0] in GOOD | BAD:
        return "chosen" if rest[0] in GOOD else "rejected"
    if len(rest) == 2 and rest[0] in _NOT | _MORE and rest[1] in GOOD:
        return "rejected" if rest[0] in _NOT else "chosen"
    return None


def prompt_rank(name: str) -> int | None:
    """Place in :data:`PROMPTS`, where a name says "prompt" and no more than that; lower = first."""
    spoken = [word.removesuffix("s") for word in words(name)]
    rest = [word for word in spoken if word not in _PROMPT_CARRIERS]
    if not rest and spoken and spoken[0] == "user":
        return PROMPTS.index("user")
    if len(rest) == 1 and rest[0] in PROMPTS:
        return PROMPTS.index(rest[0])
    return None


def input_rank(name: str) -> int | None:
    spoken = "".join(word for word in words(name) if word != "text").removesuffix("s")
    if spoken in INPUTS:
        return INPUTS.index(spoken)
    return None


def is_system(name: str) -> bool:
    spoken = words(name)
    return bool(spoken) and spoken[0] in SYSTEM and set(spoken[1:]) <= {
        "prompt", "message", "instruction", "text", "content",
    }  # fmt: skip


def is_history(name: str) -> bool:
    """Whether a column holds the turns before the question."""
    spoken = set(words(name))
    turns = CONVERSATION | {"context"}
    return spoken <= HISTORY | _EARLIER | turns and bool(
        spoken & HISTORY or (spoken & _EARLIER and spoken & turns)
    )


def is_conversation(name: str) -> bool:
    spoken = set(words(name))
    return bool(spoken & CONVERSATION) and spoken <= CONVERSATION | {
        "input",
        "prompt",
        "full",
        "context",
    }


def is_completion(name: str) -> bool:
    """A response of which there is one."""
    spoken = set(words(name))
    truth = {"ground", "truth", "reference", "text", "model", "final", "gold", "the", "content"}
    if spoken & {"distractor", "hypothesis"}:
        return False
    return spoken <= RESPONSE | truth and bool(spoken & RESPONSE or {"ground", "truth"} <= spoken)


def is_numeric_answer(name: str) -> bool:
    """Whether a number in a column is the answer itself: ``target`` may be a class."""
    said = {"answer", "completion", "output", "response", "solution", "reply"}
    return is_completion(name) and bool(set(words(name)) & said)


def is_response_list(name: str) -> bool:
    spoken = words(name)
    return bool(spoken) and spoken[-1].endswith("s") and set(spoken) <= RESPONSE | {"model", "all"}


def numbered(name: str) -> tuple[tuple[str, ...], str] | None:
    """(the name without its number or letter, that number): of ``response_0``, ``answerA``."""
    spoken = words(name)
    marks = [word for word in spoken if is_index(word)]
    rest = tuple(word for word in spoken if not is_index(word))
    if len(marks) != 1 or not rest or rest[-1] in META:
        return None
    return (rest, marks[0]) if set(rest) & (RESPONSE | CONVERSATION) else None


def names_a_model(name: str) -> bool:
    """``model_a``: who wrote a response; the response itself, where sentences stand there."""
    spoken = words(name)
    return len(spoken) == 2 and spoken[0] == "model" and is_index(spoken[1])


def is_verdict(name: str) -> bool:
    """Whether a column may say which of several responses is the better one."""
    spoken = set(words(name))
    return spoken <= _VERDICT_CARRIERS and bool(spoken & VERDICTS)


def is_pair_label(name: str) -> bool:
    """Whether a column may say which of two responses is better, under the name of a label."""
    spoken = set(words(name))
    known = {"label", "labels", "annotation", "annotations", "pref", "target", "y"}
    return bool(spoken & known) and spoken <= known | {"human", "gold", "final", "majority"}


def sounds_like_response(name: str) -> bool:
    """Whether the name of a column of texts says that a response is in it."""
    spoken = words(name)
    if not spoken or is_meta(name) or is_system(name) or spoken[-1] in ("prompt", "prompts"):
        return False
    known = RESPONSE | GOOD | BAD | _REVISED
    return side_of(name) is not None or bool(set(spoken) & known) or numbered(name) is not None


def speaks_of_responses(name: str) -> bool:
    """Whether a column holds what a judge wrote of the responses."""
    return bool(set(words(name)) & _JUDGED)


def sounds_like_prompt(name: str) -> bool:
    """Whether a column may hold what a response answers, or a part of it."""
    if is_meta(name):
        return False
    known = {*PROMPTS, *INPUTS, *SYSTEM, *HISTORY, *CONVERSATION}
    return any(word in known or word.removesuffix("s") in known for word in words(name))
