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
# What is said of a response that was taken back, or that answers nothing.
_WITHDRAWN = {
    "refusal", "refused", "deleted", "removed", "retracted", "withdrawn", "spam", "banned",
    "blocked", "hidden", "censored", "contentfilter", "truncated", "error", "errors", "discard",
    "discarded", "exclude", "excluded", "skip", "skipped", "ignore", "ignored",
}  # fmt: skip
_FALSE = {
    "false", "no", "bad", "undesirable", "rejected", "reject", "negative", "fail", "failed",
    "incorrect", "wrong", "thumbsdown", "down", "dislike", "disliked", "downvote", "downvoted",
    "dispreferred", "unhelpful", "harmful", "unsafe", "invalid", "failure", "lose", "👎",
    *_WITHDRAWN,
}  # fmt: skip
_NUMBERS = {"1": True, "1.0": True, "0": False, "0.0": False, "-1": False, "-1.0": False}

_LABELS = {"label", "labels", "ktotag"}
_GOOD = {"safe", "good", "correct", "chosen", "preferred", "accepted", "desirable",
         "helpful", "harmless", "thumbs", "thumb", "liked", "like", "upvoted", "passed", "pass",
         "valid", "approved", "success", "feedback", "verdict", "selected",
         "keep", "kept", "include", "included"}  # fmt: skip
_BAD = {"unsafe", "bad", "incorrect", "rejected", "undesirable", "harmful", "toxic", "toxicity",
        "wrong", "flagged", "hallucinated", "hallucination", "disliked", "invalid",
        *_WITHDRAWN}  # fmt: skip
_ASKS = {"is", "if", "was", "has", "contains"}
_CARRIERS = {*_ASKS, "user", "human", "up", "label", "model", "overall", "pm"}
# A column that says in a word what became of a response: status, finish_reason.
_STATES = ({"status"}, {"state"}, {"moderation"}, {"visibility"}, {"finish", "reason"},
           {"stop", "reason"})  # fmt: skip
_STATE_CARRIERS = {"review", "message", "moderation", "status", "state"}
# What stands in place of a text that is gone.
_GONE = {"[deleted]", "[removed]", "[deleted by user]", "[removed by reddit]", "[redacted]"}
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


@lru_cache(maxsize=4096)
def is_state(name: str) -> bool:
    spoken = set(words(name)) - RESPONSE
    return any(state <= spoken <= state | _STATE_CARRIERS for state in _STATES)


@lru_cache(maxsize=4096)
def is_withdrawn(name: str) -> bool:
    """Whether a column says that the whole row was taken back, or in what state it is."""
    return is_state(name) or bool(label_sense(name) is False and set(words(name)) & _WITHDRAWN)


def says_bad(name: str, value: object) -> bool:
    """Whether a field marks its response as bad: ``label: 0``, ``deleted: true``, ``status:
    removed``, or, beside a message, OpenAI's ``weight: 0``."""
    sense = label_sense(name)
    if sense is not None:
        return flag_of(value) is (not sense)
    in_words = is_state(name) and isinstance(value, str) and value.strip() not in _NUMBERS
    return in_words and flag_of(value) is False


def bad_field(record: Mapping[str, object]) -> str | None:
    """The field by which a record or message is bad, or not to be learned; None where none is."""
    for name, value in record.items():
        if says_bad(str(name), value) or (name in _LEARNED and flag_of(value) is False):
            return str(name)
    return None


@lru_cache(maxsize=4096)
def said_of(column: str, response: str) -> str:
    """The name of a column without the words that name a response: of ``is_response_1_safe`` and
    ``response_1`` it is "is response safe"; empty where the column does not name the response."""
    about = set(words(response)) - RESPONSE - _CARRIERS
    if not about or not about <= set(words(column)):
        return ""
    return " ".join(word for word in words(column) if word not in about)


def is_gone(text: str) -> bool:
    """Whether a text says that the response is not there any more."""
    return text.strip().lower() in _GONE
