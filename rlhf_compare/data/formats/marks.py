"""What says of one response that it is good or bad: columns that mark it, and their values."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from rlhf_compare.data.formats.names import RESPONSE, SCORES, squashed, words

# The words of a mark, without case, blanks and points. Numbers: 1 is good, 0 and -1 are bad.
_TRUE = {
    "true", "yes", "good", "desirable", "chosen", "accepted", "accept", "positive", "pass",
    "passed", "correct", "right", "thumbsup", "up", "like", "liked", "upvote", "upvoted",
    "preferred", "helpful", "harmless", "safe", "valid", "approved", "success", "win", "👍",
}  # fmt: skip
_FALSE = {
    "false", "no", "bad", "undesirable", "rejected", "reject", "negative", "fail", "failed",
    "incorrect", "wrong", "thumbsdown", "down", "dislike", "disliked", "downvote", "downvoted",
    "dispreferred", "unhelpful", "harmful", "unsafe", "invalid", "failure", "lose", "👎",
}  # fmt: skip
_NUMBERS = {"1": True, "1.0": True, "0": False, "0.0": False, "-1": False, "-1.0": False}

_LABELS = {"label", "labels", "ktotag"}
_GOOD = {"safe", "good", "correct", "chosen", "preferred", "accepted", "desirable",
         "helpful", "harmless", "thumbs", "thumb", "liked", "like", "upvoted", "passed", "pass",
         "valid", "approved", "success", "feedback", "verdict", "selected"}  # fmt: skip
_BAD = {"unsafe", "bad", "incorrect", "rejected", "undesirable", "harmful", "toxic", "toxicity",
        "wrong", "flagged", "hallucinated", "hallucination", "disliked", "invalid"}  # fmt: skip
_ASKS = {"is", "if", "was"}
_CARRIERS = {*_ASKS, "user", "human", "up", "label", "model", "overall"}
# A grade: a mark too, where it has two values.
_GRADES = SCORES | {"correctness", "quality", "grade", "outcome", "result"}
# Beside a message: whether a model is to learn it.
_LEARNED = ("weight", "train", "loss")


def flag_of(value: object) -> bool | None:
    """Good (True), bad (False), or None where a value is no such mark."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, int | float | str):
        return None
    text = str(value).strip().lower()
    if text in _NUMBERS:
        return _NUMBERS[text]
    said = squashed(text) or text
    return True if said in _TRUE else False if said in _FALSE else None


def are_flags(values: Iterable[object]) -> bool:
    """Whether all values of a column that are there are marks."""
    there = [value for value in values if value is not None and value != ""]
    return bool(there) and all(flag_of(value) is not None for value in there)


@lru_cache(maxsize=4096)
def label_sense(name: str) -> bool | None:
    """Whether ``true`` in a column marks a good response, or a bad one; None = it is no label."""
    if squashed(name) in _LABELS:
        return True
    spoken = words(name)
    rest = set(spoken) - _CARRIERS - RESPONSE
    # correct_answer is an answer; answer_correct and is_correct_answer speak of one
    if len(rest) != 1 or (spoken[-1] in RESPONSE and not set(spoken) & _ASKS):
        return None
    word = next(iter(rest))
    return True if word in _GOOD else False if word in _BAD else None


def is_grade(name: str) -> bool:
    """Whether a column says how good the response is, and no more than that."""
    spoken = set(words(name))
    return bool(spoken & _GRADES) and spoken <= _GRADES | _CARRIERS | RESPONSE


def not_learned(messages: object) -> str | None:
    """The field by which the last of the messages is not to be learned, as OpenAI's ``weight: 0``;
    None where there is none."""
    last = messages[-1] if isinstance(messages, list) and messages else messages
    if not isinstance(last, Mapping):
        return None
    return next((key for key in _LEARNED if key in last and flag_of(last[key]) is False), None)
