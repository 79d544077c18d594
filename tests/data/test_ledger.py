"""Counts by reason add up to the rows read."""

import pytest

from rlhf_compare.data.ledger import EXAMPLES, NAMED, DroppedRow, Ledger
from rlhf_compare.data.reasons import FAULTS, REASONS, RULES
from rlhf_compare.errors import DataError


def ledger(read: int, **dropped: int) -> Ledger:
    made = Ledger(read=read)
    for reason, count in dropped.items():
        made.drop(reason, count, [DroppedRow(f"line {i + 1}", f"fault {i}") for i in range(count)])
    return made


def test_counts_add_up() -> None:
    made = ledger(6, too_long=1, empty_chosen=2)
    made.drop("too_long", 1, [DroppedRow("line 9")])
    assert (made.read, made.kept) == (6, 2)
    assert made.dropped == {"empty_chosen": 2, "too_long": 2}
    assert made.as_dict()["named"] == {
        "empty_chosen": ["line 1", "line 2"],
        "too_long": ["line 1", "line 9"],
    }


def test_every_reason_has_words_and_an_unknown_one_is_refused() -> None:
    made = ledger(100, **dict.fromkeys(REASONS, 1))
    assert made.dropped == dict.fromkeys(REASONS, 1)
    assert all(words in str(made) for words in REASONS.values())
    assert not set(FAULTS) & set(RULES)
    with pytest.raises(AssertionError, match="mystery"):
        made.drop("mystery", 1, [])


def test_three_examples_are_shown_and_twenty_named() -> None:
    made = ledger(100, empty_prompt=50)
    (reason,) = made.reasons()
    assert (reason["count"], len(reason["named"]), len(reason["examples"])) == (50, 20, 3)
    assert (NAMED, EXAMPLES) == (20, 3)
    assert reason["examples"][2] == {"where": "line 3", "detail": "fault 2", "excerpt": ""}


def test_the_summary_is_one_line() -> None:
    assert ledger(2, too_long=1, empty_chosen=1).summary() == (
        "2 rows read, 0 kept, dropped: "
        "1 empty_chosen (there is no preferred answer, or it is empty), "
        "1 too_long (prompt or response is over the maximum length); "
        "raise data.max_prompt_length or data.max_length"
    )


def test_limits() -> None:
    made = ledger(100, empty_prompt=3, not_text=3, multi_turn=90)
    made.check_limits({"faults": 0.06, "multi_turn": 0.9}, "rows.jsonl")
    with pytest.raises(DataError) as error:
        made.check_limits({"faults": 0.05}, "rows.jsonl")
    assert str(error.value) == (
        "rows.jsonl: 6 of 100 rows dropped for faults (6.0%, data.max_dropped_share allows 5.0%): "
        "3 not_text, first in line 1: fault 0; 3 empty_prompt, first in line 1: fault 0; "
        "mend the rows, or raise data.max_dropped_share"
    )
    with pytest.raises(DataError, match="90 of 100 rows dropped for multi_turn"):
        made.check_limits({"multi_turn": 0.5}, "rows.jsonl")


def test_where_nearly_all_rows_fail_in_one_way_the_format_is_spoken_of() -> None:
    made = Ledger(read=100)
    excerpt = '{"chosen": {"from": "gpt", "value": "' + "long " * 40
    made.drop("not_text", 95, [DroppedRow("line 1", "field 'chosen' is dict", excerpt)])
    made.sources = [{"name": "rows.jsonl", "words": "read as preference pairs from chosen"}]
    with pytest.raises(DataError) as error:
        made.check_limits({"faults": 0.05}, "rows.jsonl")
    assert str(error.value) == (
        "rows.jsonl: 95 of 100 rows fail in one way, not_text (a field that should be text is "
        "something else), so the format may be another: read as preference pairs "
        "from chosen; first in line 1: field 'chosen' is dict; the row: "
        f"{excerpt[:100]} ...; say what the columns are in data.columns, or name the format in "
        "data.format"
    )
