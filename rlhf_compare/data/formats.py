"""One row, however it is written, to a question and its answers, or to the reason it is dropped."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from rlhf_compare.errors import DataError

# hh-rlhf marks turns like this, each after a blank line. A marker inside a line is content.
_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")


@dataclass(frozen=True)
class Exchange:
    """A single-turn exchange. ``drop`` is the reason code if the row cannot be used."""

    question: str = ""
    chosen: str = ""  # the answer people preferred, or the only one
    rejected: str | None = None  # the other answer, where the source has one to this question
    group: str | None = None  # rows of one group never part (a topic); None = the prompt decides
    drop: str | None = None


def parse_turns(transcript: str) -> list[tuple[str, str]]:
    """(role, text) of every turn of an hh-rlhf transcript, texts stripped.

    The turns are parsed, not the longest common prefix of two transcripts: that puts the start of
    the answer into the prompt wherever both answers begin alike.
    """
    pieces = _TURN.split(transcript)
    return [(role, text.strip()) for role, text in zip(pieces[1::2], pieces[2::2], strict=True)]


def parse_row(row: Mapping[str, object], where: str) -> Exchange:
    """Recognise the format from the columns: hh-rlhf transcripts or question and answer.

    Raises:
        DataError: a field is missing or no text; ``where`` (file and line) opens the message.
    """
    if "question" in row and "chosen" not in row:
        return _parse_question(row, where)
    return _parse_transcripts(row, where)


def _text(row: Mapping[str, object], field: str, where: str) -> str:
    value = row.get(field)
    if value is None:
        raise DataError(
            f"{where}: no field '{field}'; every row needs texts 'chosen' and 'rejected', "
            "or 'question' and 'answer'"
        )
    if not isinstance(value, str):
        raise DataError(f"{where}: field '{field}' is {type(value).__name__}, expected text")
    return value


def _parse_question(row: Mapping[str, object], where: str) -> Exchange:
    question, answer = _text(row, "question", where), _text(row, "answer", where)
    if not question.strip():
        return Exchange(drop="no_question")
    if not answer.strip():
        return Exchange(drop="no_answer")
    topic = row.get("topic")
    return Exchange(
        question.strip(), answer.strip(), group=topic if isinstance(topic, str) else None
    )


def _parse_transcripts(row: Mapping[str, object], where: str) -> Exchange:
    texts = _text(row, "chosen", where), _text(row, "rejected", where)
    # the chapter's rule counts the marker wherever it stands, also inside a line
    if any(text.count("Human: ") >= 2 for text in texts):
        return Exchange(drop="multi_turn")
    questions, answers = [], []
    for turns in map(parse_turns, texts):
        if [role for role, _ in turns] != ["Human", "Assistant"]:
            return Exchange(drop="no_answer" if len(turns) < 2 else "roles_out_of_order")
        if not turns[0][1]:
            return Exchange(drop="no_question")
        questions.append(turns[0][1])
        answers.append(turns[1][1])
    if not answers[0]:
        return Exchange(drop="no_answer")
    same_question = questions[0] == questions[1]
    return Exchange(questions[0], answers[0], answers[1] if same_question else None)
