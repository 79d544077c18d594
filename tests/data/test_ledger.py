"""Counts by reason add up to the rows read."""

import pytest

from rlhf_compare.data.ledger import REASONS, Ledger


def test_counts_add_up() -> None:
    ledger = Ledger()
    ledger.count([None, "too_long", None, "no_answer", "no_answer", None])
    assert (ledger.read, ledger.kept) == (6, 3)
    assert ledger.dropped == {"no_answer": 2, "too_long": 1}
    assert ledger.read == ledger.kept + sum(ledger.dropped.values())


def test_every_reason_has_words_and_an_unknown_one_is_refused() -> None:
    ledger = Ledger()
    ledger.count(list(REASONS))
    assert ledger.dropped == dict.fromkeys(REASONS, 1)
    assert all(words in str(ledger) for words in REASONS.values())
    with pytest.raises(AssertionError, match="mystery"):
        ledger.count(["mystery"])


def test_the_summary_is_one_line() -> None:
    ledger = Ledger()
    ledger.count(["too_long", "no_answer"])
    assert ledger.summary() == (
        "2 rows read, 0 kept, dropped: 1 no_answer (there is no answer, or it is empty), "
        "1 too_long (prompt or pair is over the maximum length)"
    )
