"""Marks inside messages and records, withdrawn responses: what is marked is obeyed, never lost."""

import json
from pathlib import Path

import pytest

from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.formats import Example
from rlhf_compare.data.formats.values import SCORE_KEYS
from rlhf_compare.data.prepare import prepare
from rlhf_compare.data.reasons import RowDropError
from rlhf_compare.data.tasks import rank
from rlhf_compare.data.views import demonstration_view
from rlhf_compare.models.tokenizer import train_tokenizer
from tests.data.rows import N, Row, answers, examples, question, refused, said

KEPT_OR_BAD = ["marked_bad" if i % 2 else f"Text {i}." for i in range(N)]


# --- one response, and a mark beside it or inside it

MARKS: list[tuple[str, object, object]] = [
    *[(name, False, True) for name in (
        "is_refusal", "refused", "deleted", "removed", "is_deleted", "response_removed", "spam",
        "contains_refusal", "has_error", "truncated", "blocked", "retracted", "discarded",
    )],
    *[(name, True, False) for name in ("keep", "include")],
    ("score", 1, 0), ("rating", "good", "bad"), ("feedback", "up", "down"), ("label", 1, 0),
    ("status", "published", "removed"), ("status", "ok", "deleted"),
    ("finish_reason", "stop", "content_filter"), ("stop_reason", "end_turn", "refusal"),
    ("review_status", "approved", "rejected"),
]  # fmt: skip


@pytest.mark.parametrize(("mark", "good", "bad"), MARKS)
@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("where", ["column", "message", "record", "completion"])
def test_a_marked_response_is_no_demonstration(
    mark: str, good: object, bad: object, as_text: bool, where: str
) -> None:
    def row(i: int) -> Row:
        value = bad if i % 2 else good
        fields = {mark: str(value) if as_text else value}  # as a CSV file has it
        if where == "column":
            return {"prompt": question(i), "response": f"Text {i}.", **fields}
        if where == "message":
            return {"messages": [{"role": "user", "content": question(i)}, said(i, **fields)]}
        if where == "record":
            return {"prompt": question(i), "response": {"text": f"Text {i}.", **fields}}
        return {"prompt": question(i), "completion": [said(i, **fields)]}

    assert answers([row(i) for i in range(N)]) == KEPT_OR_BAD


@pytest.mark.parametrize("gone", ["[deleted]", "[removed]", " [Deleted by user] "])
def test_a_text_that_says_it_is_gone_is_no_answer(gone: str) -> None:
    rows: list[Row] = [
        {"prompt": question(i), "response": gone if i % 2 else f"Text {i}."} for i in range(N)
    ]
    assert answers(rows) == KEPT_OR_BAD
    pairs: list[Row] = [
        {"prompt": r["prompt"], "chosen": r["response"], "rejected": "No."} for r in rows
    ]
    assert answers(pairs) == KEPT_OR_BAD
    ranked: list[Row] = [
        {"prompt": r["prompt"], "responses": [r["response"], "No."], "scores": [2, 1]} for r in rows
    ]
    assert answers(ranked) == KEPT_OR_BAD


@pytest.mark.parametrize("key", SCORE_KEYS)
def test_a_grade_inside_a_response_is_asked_about(key: str) -> None:
    messages: list[Row] = [
        {"messages": [{"role": "user", "content": question(i)}, said(i, **{key: i / 4})]}
        for i in range(N)
    ]
    words = refused(messages)
    assert f"messages.{key} may say how good" in words and "data.format=demonstrations" in words
    assert answers(messages, format_name="demonstrations")[1] == "Text 1."
    records: list[Row] = [
        {"prompt": question(i), "response": {"text": f"Text {i}.", key: i}} for i in range(N)
    ]
    assert f"response.{key} may say how good" in refused(records)


# --- several responses, the best of them marked


def best_is_marked(i: int, where: str, mark: str, good: object, bad: object) -> Row:
    value = bad if i % 2 else good
    row: Row = {"prompt": question(i)}
    if where == "chosen's column":
        return {**row, "chosen": f"Text {i}.", "rejected": "No.", f"chosen_{mark}": value}
    if where == "row":
        return {**row, "chosen": f"Text {i}.", "rejected": "No.", mark: value}
    if where == "chosen's message":
        return {**row, "chosen": [said(i, **{mark: value})], "rejected": [said(50)]}
    if where == "numbered column":
        sides = {"response_0": "No.", "response_1": f"Text {i}.", "better_response_id": 1}
        return {**row, **sides, f"response_1_{mark}": value, f"response_0_{mark}": bad}
    if where == "list":
        flags = {mark: [bad, value]}
        return {**row, "responses": ["No.", f"Text {i}."], "scores": [1, 2], **flags}
    records = [{"text": "No.", "score": 1, mark: bad}, {"text": f"Text {i}.", "score": 2}]
    records[1][mark] = value
    return {**row, "responses": records}


@pytest.mark.parametrize(
    "where",
    ["chosen's column", "row", "chosen's message", "numbered column", "list", "record"],
)
@pytest.mark.parametrize(
    ("mark", "good", "bad"), [("deleted", False, True), ("is_refusal", 0, 1), ("spam", "no", "yes")]
)
def test_a_marked_best_response_ranks_and_is_no_demonstration(
    where: str, mark: str, good: object, bad: object
) -> None:
    found = examples([best_is_marked(i, where, mark, good, bad) for i in range(N)])
    preference, prefix = TaskConfig(name="preference"), TaskConfig()
    for i, example in enumerate(found):
        assert isinstance(example, Example)
        ranked = rank(example, preference, "p")
        assert set(ranked.responses) == {f"Text {i}.", "No." if "mess" not in where else "Text 50."}
        if i % 2 == 0:
            assert ranked.demonstration == f"Text {i}." and "demonstrations" in ranked.feeds
            continue
        assert ranked.demonstration == "" and ranked.feeds == ("rankings", "prompts")
        with pytest.raises(RowDropError) as drop:
            rank(example, prefix, "p")
        assert drop.value.reason == "marked_bad"


def test_rows_whose_best_response_is_marked_are_counted(tmp_path: Path) -> None:
    rows = [best_is_marked(i, "record", "deleted", False, True) for i in range(40)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = DataConfig(source="file", path=str(path), eval_share=0.3)
    tokenizer = train_tokenizer([], 257)
    made = prepare(data, TaskConfig(name="preference"), lambda _: tokenizer)
    learned = [row for row in made.train if row["demonstration_ids"]]
    assert made.ledger.kept == 40 and 0 < len(learned) < len(made.train)
    assert made.ledger.feeds["demonstrations"] == len(demonstration_view(made.train))
    assert made.ledger.feeds["demonstrations"] == len(learned)
    assert made.ledger.feeds["rankings"] == len(made.train)
    assert all(int(row["demonstration"][5:-1]) % 2 == 0 for row in learned)


def test_safety_of_the_better_response_counts_too() -> None:
    rows = [
        {
            "prompt": question(i),
            "response_0": "No.",
            "response_1": f"Text {i}.",
            "is_response_0_safe": i % 2 == 1,
            "is_response_1_safe": i % 2 == 0,
            "better_response_id": 1,
        }
        for i in range(N)
    ]
    for i, example in enumerate(examples(rows)):
        assert isinstance(example, Example) and len(example.responses) == 2
        learned = rank(example, TaskConfig(name="preference"), "p").demonstration
        assert learned == ("" if i % 2 else f"Text {i}.")
