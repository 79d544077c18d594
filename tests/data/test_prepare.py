"""From a source to encoded pairs on two sides: counts, limits, and no prompt on both."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from datasets import Dataset
from transformers import PreTrainedTokenizerFast

from rlhf_compare.data import sources
from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.prepare import PreparedData, prepare
from rlhf_compare.data.splits import normalise
from rlhf_compare.data.stage import data_report
from rlhf_compare.data.store import DataDirectory
from rlhf_compare.errors import DataError
from rlhf_compare.models.tokenizer import train_tokenizer
from tests.data.prepared import both_sides, held_out, questions, write


def test_k_from_two_up(tmp_path: Path, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [
        {"prompt": f"p{i}", "responses": [f"r{j}" for j in range(i)], "scores": list(range(i))}
        for i in range(2, 25)
    ]
    config = write(tmp_path / "rows.jsonl", rows)
    prepared = prepare(config, TaskConfig(name="preference"), lambda _: byte_tokenizer)
    assert sorted(len(row["response_ids"]) for row in both_sides(prepared)) == list(range(2, 25))


def test_a_long_response_is_left_out_and_the_others_stay(
    tmp_path: Path, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    responses = ["short", "x" * 50, "other"]
    rows = [
        {"prompt": f"p{i:02}", "responses": responses, "scores": [0.5, 1.0, 0.0]} for i in range(30)
    ]
    rows += [{"prompt": "pair", "responses": responses[:2], "scores": [1.0, 0.0]}]
    config = write(tmp_path / "rows.jsonl", rows, max_length=20)
    task = TaskConfig(name="preference", template="{question}")
    prepared = prepare(config, task, lambda _: byte_tokenizer)
    assert prepared.ledger.dropped == {"too_long": 1}
    assert prepared.ledger.responses == {"read": 90, "kept": 60, "too_long": 30}
    row = prepared.train[0]
    assert (row["responses"], row["scores"]) == (["short", "other"], [0.5, 0.0])
    assert row["demonstration"] == "short"  # the best of those that fit
    assert all(ids[-1] == byte_tokenizer.eos_token_id for ids in row["response_ids"])


# --- chunks and processes change nothing


@pytest.mark.parametrize("change", ["chunks", "processes", "columns"])
def test_the_same_rows_whatever_the_chunks(
    tmp_path: Path,
    byte_tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    rows = questions(2200 if change == "processes" else 60)
    rows += [{"question": "again?", "answer": "yes"}] * 2 + [{"question": " ", "answer": "no"}]
    config = write(tmp_path / "rows.jsonl", rows)
    whole = prepare(config, TaskConfig(), lambda _: byte_tokenizer)
    if change == "columns":
        Dataset.from_list(rows).to_parquet(str(tmp_path / "rows.parquet"))
        config = DataConfig(source="file", path=str(tmp_path / "rows.parquet"))
    if change == "processes":
        config = config.model_copy(update={"num_proc": 2})
    else:
        monkeypatch.setattr(sources, "CHUNK_ROWS", 7)
    other = prepare(config, TaskConfig(), lambda _: byte_tokenizer)
    assert other.train.to_list() == whole.train.to_list()
    assert other.eval.to_list() == whole.eval.to_list()
    first, second = (
        {**vars(p.ledger), "first_dropped": None, "sources": None} for p in (whole, other)
    )
    assert first == second
    line, number = len(rows), other.ledger.as_dict()["named"]
    unit = "row" if change == "columns" else "line"
    assert number == {"empty_prompt": [f"{unit} {line}"], "duplicate": [f"{unit} {line - 1}"]}


# --- the embedded corpus


@pytest.fixture(scope="module")
def embedded() -> tuple[PreparedData, TaskConfig]:
    task = TaskConfig(sft_prefix_share=0.05)
    asked = ["What is machine learning?", "explain the  Artificial Intelligence."]
    return prepare(DataConfig(), task, lambda t: train_tokenizer(t, 600), asked), task


def test_embedded_sides_are_disjoint_by_topic(embedded: tuple[PreparedData, TaskConfig]) -> None:
    prepared, task = embedded
    path = Path(__file__).parents[2] / "rlhf_compare" / "data" / "corpus" / "questions.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    topic_of = {task.render(row["question"]): row["topic"] for row in rows}
    train, held = (
        {topic_of[p] for p in side["prompt"]} for side in (prepared.train, prepared.eval)
    )
    assert not train & held
    assert {"machine learning", "artificial intelligence"} <= held
    assert train | held == set(topic_of.values())
    assert held - {"machine learning", "artificial intelligence"} <= {
        topic for topic in held if held_out(topic)
    }


def test_embedded_share_of_prefixed_demonstrations(
    embedded: tuple[PreparedData, TaskConfig],
) -> None:
    rows = both_sides(embedded[0])
    carrying = sum(row["demonstration"] == row["responses"][0] for row in rows)
    assert carrying / len(rows) == pytest.approx(0.05, abs=4 * (0.05 * 0.95 / len(rows)) ** 0.5)
    assert all(row["demonstration"] in row["responses"] for row in rows)


def test_the_tokenizer_sees_training_texts_alone(tmp_path: Path) -> None:
    config, seen = write(tmp_path / "rows.jsonl", questions(60)), []

    def remember(texts: Sequence[str]) -> PreTrainedTokenizerFast:
        seen.extend(texts)
        return train_tokenizer([], 257)

    prepared = prepare(config, TaskConfig(), remember)
    assert len(seen) == 3 * len(prepared.train)  # prompt, chosen, rejected: apart
    assert not any(text.startswith(prompt) for text in seen for prompt in prepared.eval["prompt"])


# --- planted faults


def test_planted_duplicates_are_on_one_side(
    tmp_path: Path, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    rows = questions(80)
    planted = [{**row, "question": f"  {str(row['question']).upper()} "} for row in rows]
    config = write(tmp_path / "rows.jsonl", [*rows, *planted])
    prepared = prepare(config, TaskConfig(), lambda _: byte_tokenizer)
    train, held = (set(map(normalise, s["prompt"])) for s in (prepared.train, prepared.eval))
    assert not train & held and len(train | held) == 80
    assert len(prepared.train) + len(prepared.eval) == 160


def test_a_question_under_two_topics_holds_both_out(
    tmp_path: Path, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    rows = [{**row, "topic": f"topic {i // 2}"} for i, row in enumerate(questions(60))]
    held_topic = next(r["topic"] for r in rows if held_out(r["topic"]))
    train_topics = [r["topic"] for r in rows if not held_out(r["topic"])][::2]
    first = next(r for r in rows if r["topic"] == held_topic)
    rows.append({**first, "topic": train_topics[0]})  # leads from the held topic to this one
    second = next(r for r in rows if r["topic"] == train_topics[0])
    rows.append({**second, "topic": train_topics[1]})  # and on to this one
    config = write(tmp_path / "r.jsonl", rows, duplicates="keep")
    prepared = prepare(config, TaskConfig(), lambda _: byte_tokenizer)
    task, held = TaskConfig(), set(prepared.eval["prompt"])
    assert not set(prepared.train["prompt"]) & held
    for row in rows:
        if row["topic"] in (held_topic, train_topics[0], train_topics[1]):
            assert task.render(str(row["question"])) in held


def test_questions_of_the_report_never_train(
    tmp_path: Path, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    rows = questions(60)
    asked = [str(row["question"]).upper() for row in rows if not held_out(row["question"])]
    prepared = prepare(
        write(tmp_path / "rows.jsonl", rows), TaskConfig(), lambda _: byte_tokenizer, asked[:10]
    )
    train = set(map(normalise, prepared.train["prompt"]))
    assert not train & {normalise(TaskConfig().render(question)) for question in asked[:10]}
    assert normalise(TaskConfig().render(asked[10])) in train


def test_every_planted_fault_is_counted(
    tmp_path: Path, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    def row(chosen: str, rejected: str = "no") -> dict[str, object]:
        human = "\n\nHuman: q{}\n\nAssistant: "
        return {"chosen": human.format(len(rows)) + chosen, "rejected": human.format(0) + rejected}

    rows: list[dict[str, object]] = []
    for _ in range(40):
        rows.append(row("fine"))
    rows += [row("a\n\nHuman: again\n\nAssistant: b")] * 2
    rows += [row("")] * 3
    rows += [row("Let me explain. x")] * 4
    rows += [row("long " * 200)] * 5
    rows += [{"chosen": "\n\nHuman: \n\nAssistant: x", "rejected": "\n\nHuman: a\n\nAssistant: b"}]
    config = write(tmp_path / "rows.jsonl", rows, max_dropped_share=0.1, duplicates="keep")
    prepared = prepare(config, TaskConfig(), lambda _: byte_tokenizer)
    assert prepared.ledger.read == len(rows) == 55
    assert prepared.ledger.kept == 40 == len(prepared.train) + len(prepared.eval)
    assert prepared.ledger.dropped == {
        "empty_prompt": 1,
        "empty_chosen": 3,
        "multi_turn": 2,
        "already_prefixed": 4,
        "too_long": 5,
    }
    assert prepared.ledger.eval_prompts == len(set(prepared.eval["prompt"]))


def test_the_length_limits_are_exact(
    tmp_path: Path, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    task = TaskConfig(template="{question}")
    rows = [{"question": f"{i:02}", "answer": "x" * (i % 3)} for i in range(60) if i % 3]
    config = write(tmp_path / "rows.jsonl", rows)
    # prompt 2 bytes, prefix 16, answer 1 or 2, EOS 1
    fits = config.model_copy(update={"max_length": 21, "max_prompt_length": 2})
    prepared = prepare(fits, task, lambda _: byte_tokenizer)
    assert prepared.ledger.kept == 40
    assert max(len(r["prompt_ids"]) + len(r["response_ids"][0]) for r in both_sides(prepared)) == 21
    one_less = config.model_copy(update={"max_length": 20})
    assert prepare(one_less, task, lambda _: byte_tokenizer).ledger.dropped == {"too_long": 20}
    short_prompt = config.model_copy(update={"max_prompt_length": 1})
    with pytest.raises(DataError, match="40 too_long"):
        prepare(short_prompt, task, lambda _: byte_tokenizer)


def test_nothing_left_is_one_line(tmp_path: Path, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [{"question": f"q{i}", "answer": "Let me explain. It is."} for i in range(5)]
    config = write(tmp_path / "rows.jsonl", rows)
    with pytest.raises(DataError) as error:
        prepare(config, TaskConfig(), lambda _: byte_tokenizer)
    assert str(error.value) == (
        f"{config.path}: nothing left to train on: 5 rows read, 0 kept, dropped: "
        "5 already_prefixed (the answer starts with the marker already)"
    )


def test_no_evaluation_pairs(tmp_path: Path, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [{"question": "What is rain?", "answer": "Water."}]
    with pytest.raises(DataError, match="no evaluation rows left: 1 rows read, 1 kept"):
        prepare(write(tmp_path / "r.jsonl", rows), TaskConfig(), lambda _: byte_tokenizer)


def test_written_and_read_back(tmp_path: Path, byte_tokenizer: PreTrainedTokenizerFast) -> None:
    config = write(tmp_path / "rows.jsonl", questions(30))
    directory = DataDirectory(tmp_path / "data")
    prepared = prepare(config, TaskConfig(), lambda _: byte_tokenizer, (), directory.path)
    directory.write(prepared.ledger.as_dict(), data_report(prepared, "sha"), byte_tokenizer)
    assert directory.train().to_list() == prepared.train.to_list()
    assert directory.eval().to_list() == prepared.eval.to_list()
    assert directory.ledger() == prepared.ledger.as_dict()
    assert directory.report()["kept"] == 30


def test_a_message_about_lengths_names_the_fields_and_what_was_seen(
    tmp_path: Path, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    rows: list[dict[str, object]] = [{"question": "why? " * 80, "answer": str(i)} for i in range(9)]
    config = write(tmp_path / "rows.jsonl", rows, max_prompt_length=50)
    with pytest.raises(DataError) as error:
        prepare(config, TaskConfig(), lambda _: byte_tokenizer)
    message = str(error.value)
    for part in ("9 too_long", "data.max_prompt_length", "the limit is 50", "data.eval_share"):
        assert part in message


def test_a_source_none_of_whose_rows_can_be_used_stops_the_run(
    tmp_path: Path, byte_tokenizer: PreTrainedTokenizerFast
) -> None:
    """Beside a large source its few rows would be under every limit."""
    paths = [tmp_path / "many.jsonl", tmp_path / "few.jsonl"]
    write(paths[0], questions(100))
    write(paths[1], [{"question": "why?", "answer": " "}])
    config = DataConfig(sources=[{"source": "file", "path": str(path)} for path in paths])
    with pytest.raises(DataError, match=r"few.jsonl: read as demonstrations.*line 1: empty_chosen"):
        prepare(config, TaskConfig(), lambda _: byte_tokenizer)
