"""One row, however it is written, to a question and its answers, or to the reason it is dropped."""

import math
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
    responses: tuple[str, ...] = ()  # K >= 2 to be ranked; one where the source has no other
    scores: tuple[float, ...] = ()  # higher is better, equal = tie
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
    """Recognise the format from the columns: hh-rlhf transcripts, ranked, question and answer.

    Raises:
        DataError: a field is missing or no text; ``where`` (file and line) opens the message.
    """
    if "responses" in row:
        return _parse_ranked(row, where)
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
    group = topic if isinstance(topic, str) else None
    return Exchange(question.strip(), (answer.strip(),), (1.0,), group)


def _parse_ranked(row: Mapping[str, object], where: str) -> Exchange:
    prompt, responses, scores = _text(row, "prompt", where), row["responses"], row.get("scores")
    if not isinstance(responses, list) or not all(isinstance(r, str) for r in responses):
        raise DataError(f"{where}: field 'responses' is no list of texts")
    if not isinstance(scores, list) or len(scores) != len(responses):
        raise DataError(f"{where}: field 'scores' must hold one number for each response")
    if not all(isinstance(s, int | float) and math.isfinite(s) for s in scores):
        raise DataError(f"{where}: field 'scores' holds something that is no finite number")
    if not prompt.strip():
        return Exchange(drop="no_question")
    if len(responses) < 2 or not all(text.strip() for text in responses):
        return Exchange(drop="no_answer")
    texts = tuple(text.strip() for text in responses)
    return Exchange(prompt.strip(), texts, tuple(float(score) for score in scores))


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
    if questions[0] != questions[1] or not answers[1]:
        return Exchange(questions[0], (answers[0],), (1.0,))
    return Exchange(questions[0], tuple(answers), (1.0, 0.0))
