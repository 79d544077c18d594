"""Every row is kept or dropped for one reason, whatever is in it."""

import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from rlhf_compare.data.config import FEEDS, DataConfig, TaskConfig
from rlhf_compare.data.formats import Layout
from rlhf_compare.data.parse import ParseSettings, parse_row_or_reason
from rlhf_compare.data.prepare import prepare
from rlhf_compare.data.reasons import REASONS
from rlhf_compare.models.tokenizer import train_tokenizer

PREFERENCE = TaskConfig(name="preference")
GOOD: dict[str, dict[str, Any]] = {
    "hh": {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"},
    "preference": {
        "prompt": [{"role": "user", "content": "a"}],
        "chosen": [{"role": "assistant", "content": "b"}],
        "rejected": [{"role": "assistant", "content": "c"}],
    },
    "ranked": {"prompt": "a", "responses": ["b", "c", "d"], "scores": [0.5, 0.25, 0.5]},
    "prompts": {"prompt": "a"},
    "demonstrations": {
        "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    },
}
ALL: tuple[str, ...] = FEEDS

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)  # half characters too
    | st.sampled_from(
        ["\0", "\n\nHuman: ", "\n\nAssistant: x", "Let me explain. ", "<|endoftext|>"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def mutate(value: Any, draw: Any) -> Any:
    """A row with one thing changed at a random depth."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        changed, name = copy.deepcopy(value), draw(st.sampled_from(sorted(value)))
        if draw(st.integers(0, 4)) == 0:
            del changed[name]
        else:
            changed[name] = mutate(changed[name], draw)
        return changed
    if isinstance(value, list) and value and draw(st.booleans()):
        changed, place = list(value), draw(st.integers(0, len(value) - 1))
        changed[place] = mutate(changed[place], draw)
        return changed
    return draw(ANYTHING)


LARGE: dict[str, Any] = {
    "deadline": None, "suppress_health_check": list(HealthCheck), "database": None
}  # fmt: skip
# reasons that the mutations must lead to in every format, and in some, or they do not go deep
EVERYWHERE = {"invalid_json", "invalid_utf8", "not_an_object", "missing_field", "not_text"}
SOMEWHERE = {"", "roles_out_of_order", "no_assistant_turn", "empty_prompt", "bad_scores"}


def test_a_thousand_mutations_are_kept_or_dropped_for_one_reason() -> None:
    """The same ones each time, and enough of them to meet the commonest faults of every format."""
    seen: dict[str, set[str]] = {format_name: set() for format_name in GOOD}

    @settings(max_examples=1_000, derandomize=True, **LARGE)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        format_name, reason = kept_or_dropped(data)
        seen[format_name].add(reason)

    check()
    assert all(reasons >= EVERYWHERE for reasons in seen.values())
    assert set().union(*seen.values()) >= SOMEWHERE


@pytest.mark.slow
@settings(max_examples=10_000, **LARGE)
@given(st.data())
def test_ten_thousand_mutations_are_kept_or_dropped_for_one_reason(data: st.DataObject) -> None:
    kept_or_dropped(data)


def kept_or_dropped(data: st.DataObject) -> tuple[str, str]:
    """The format of a mutated row, and the reason for which it is dropped (empty = kept)."""
    format_name = data.draw(st.sampled_from(sorted(GOOD)))
    row = mutate(GOOD[format_name], data.draw)
    raw = json.dumps(row).encode()
    if data.draw(st.integers(0, 9)) == 0:  # and damaged bytes
        place = data.draw(st.integers(0, len(raw)))
        raw = raw[:place] + data.draw(st.binary(max_size=3)) + raw[place + 1 :]
    task = data.draw(st.sampled_from([PREFERENCE, TaskConfig()]))
    parsed = parse_row_or_reason(
        raw, ParseSettings(Layout(format_name), ALL, data.draw(st.booleans()), task)
    )
    good = json.dumps(GOOD["hh"]).encode()
    assert set(parsed) == set(
        parse_row_or_reason(good, ParseSettings(Layout("hh"), ALL, True, task))
    )
    if parsed["reason"]:
        assert parsed["reason"] in REASONS and not parsed["feeds"] and not parsed["responses"]
    else:
        assert parsed["prompt"].strip() and parsed["feeds"]
        assert len(parsed["responses"]) == len(parsed["scores"]) != 1
        assert all(text.strip() for text in parsed["responses"])
    for name in ("detail", "excerpt", "prompt"):
        parsed[name].encode()  # can be written to a file
        assert "\0" not in parsed[name]
    return format_name, str(parsed["reason"])


@pytest.mark.parametrize("format_name", sorted(GOOD))
def test_good_rows_are_kept(format_name: str) -> None:
    raw = json.dumps(GOOD[format_name]).encode()
    assert (
        parse_row_or_reason(raw, ParseSettings(Layout(format_name), ALL, False, PREFERENCE))[
            "reason"
        ]
        == ""
    )


# --- a planted file with every reason code


def hh(chosen: str, rejected: str = "no", question: str = "", human: str = "q") -> bytes:
    sides = {
        side: f"\n\nHuman: {human}{question}\n\nAssistant: {answer}"
        for side, answer in (("chosen", chosen), ("rejected", rejected))
    }
    return json.dumps(sides).encode()


def planted() -> list[tuple[str, bytes]]:
    """(expected reason, line); each fault stands once, among good rows."""
    other = json.dumps(
        {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: z\n\nAssistant: b"}
    )
    faults = [
        ("invalid_utf8", hh("fine")[:-4] + b'\xff"}'),
        ("invalid_utf8", b'{"chosen": "\\ud800", "rejected": "x"}'),
        ("invalid_json", b'{"chosen": "a", '),
        ("invalid_json", b"[" * 100_000),
        ("not_an_object", b'"text"'),
        ("missing_field", b'{"chosen": "a"}'),
        ("not_text", b'{"chosen": "a", "rejected": 5}'),
        ("nul_character", b'{"chosen": "a\\u0000", "rejected": "x"}'),
        ("no_assistant_turn", b'{"chosen": "\\n\\nHuman: a", "rejected": "\\n\\nHuman: a"}'),
        ("roles_out_of_order", hh("a\n\nAssistant: b")),
        ("empty_prompt", hh("fine", human="")),
        ("empty_chosen", hh("")),
        ("empty_rejected", hh("fine", "")),
        ("prompts_differ", other.encode()),
        ("equal_sides", hh("same", "same")),
        ("end_token_inside", hh("an <|endoftext|> inside")),
        ("multi_turn", hh("a\n\nHuman: again\n\nAssistant: b")),
        ("too_long", hh("long " * 200, question="long")),
    ]
    rows = [("", hh("fine", question=str(i))) for i in range(60)]
    for place, fault in enumerate(faults):
        rows.insert(3 * place + 1, fault)
    rows.append(("duplicate", hh("fine", question="7")))
    return rows


def test_a_planted_file_has_an_exact_confusion_matrix(tmp_path: Path) -> None:
    rows = planted()
    path = tmp_path / "planted.jsonl"
    path.write_bytes(b"\n".join(line for _, line in rows))
    config = DataConfig(source="file", path=str(path), max_dropped_share=1.0)
    prepared = prepare(config, PREFERENCE, lambda _: train_tokenizer([], 257))
    expected = Counter(reason for reason, _ in rows)
    ledger = prepared.ledger
    assert ledger.kept == expected.pop("") == 60
    assert ledger.dropped == dict(expected)
    named = {
        place: reason for reason, places in ledger.as_dict()["named"].items() for place in places
    }
    assert named == {
        f"line {number}": reason for number, (reason, _) in enumerate(rows, start=1) if reason
    }
    assert ledger.read == len(rows)
    not_here = {"bad_scores", "too_few_responses", "template_refused", "already_prefixed"}
    not_here |= {"not_only_text", "invalid_cell", "extra_cells", "new_column", "bad_label"}
    not_here |= {"marked_bad", "feeds_nothing", "leaked", "outweighed", "missing_cells"}
    assert set(expected) | not_here == set(REASONS)  # those have their own tests


def test_rows_of_a_prefix_task_that_are_already_prefixed(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [hh("fine", question=str(i)) for i in range(30)] + [hh("Let me explain. x")]
    path.write_bytes(b"\n".join(rows))
    config = DataConfig(source="file", path=str(path))
    prepared = prepare(config, TaskConfig(), lambda _: train_tokenizer([], 257))
    assert prepared.ledger.dropped == {"already_prefixed": 1}


@settings(max_examples=8, **LARGE)
@given(st.data())
def test_files_of_mutated_rows_add_up(tmp_path_factory: Any, data: st.DataObject) -> None:
    """The whole path: reading, parsed, duplicates, sides, lengths, ledger."""
    format_name = data.draw(st.sampled_from(sorted(GOOD)))
    lines = [json.dumps({**GOOD["ranked"], "prompt": f"p{i}"}).encode() for i in range(30)]
    bad = [json.dumps(mutate(GOOD[format_name], data.draw)).encode() for _ in range(20)]
    path = tmp_path_factory.mktemp("mutated") / "rows.jsonl"
    path.write_bytes(b"\n".join(lines + bad))
    config = DataConfig(source="file", path=str(path), format="ranked", max_dropped_share=1.0)
    prepared = prepare(config, PREFERENCE, lambda _: TOKENIZER)
    ledger = prepared.ledger
    assert ledger.read == 50 == ledger.kept + sum(ledger.dropped.values())
    assert ledger.kept == ledger.train_rows + ledger.eval_rows
    assert ledger.kept == len(prepared.train) + len(prepared.eval) >= 30


TOKENIZER: PreTrainedTokenizerFast = train_tokenizer([], 257)
