"""What is left of the rows must be enough; if not, the message says which setting decides."""

from collections.abc import Sequence

import numpy as np

from rlhf_compare.data.config import DataConfig
from rlhf_compare.data.first_pass import where
from rlhf_compare.data.ledger import Ledger
from rlhf_compare.data.lengths import Lengths
from rlhf_compare.data.reasons import FAULT_LIMIT, FAULTS, REASONS
from rlhf_compare.data.selection import RowIndex, reason_codes, reason_of
from rlhf_compare.data.sources import Source
from rlhf_compare.errors import DataError


def require_usable_sources(index: RowIndex, sources: Sequence[Source], data: DataConfig) -> None:
    """A source all of whose rows are faulty is a mistake, however small it is beside others.

    Raises:
        DataError: names the source, how it was read, and its first row's fault.
    """
    if len(sources) < 2 or data.limits.get(FAULT_LIMIT, 1.0) >= 1:
        return
    faulty = np.isin(index.code, reason_codes(list(FAULTS)))
    for place, source in enumerate(sources):
        rows = np.flatnonzero(index.source == place)
        if len(rows) and faulty[rows].all():
            first = int(rows[0])
            reason = reason_of(index, first)
            raise DataError(
                f"{source.name}: {source.layout}; none of its {len(rows)} rows can be used, first "
                f"{where(source, int(index.number[first]), False)}: {reason}, {REASONS[reason]}; "
                "say what its columns are (columns), or take it out of data.sources"
            )


def require_all_sides(
    train: int, held_out: int, ledger: Ledger, lengths: Lengths, data: DataConfig, name: str
) -> None:
    """Assert that rows are left to train on, to evaluate with and, where asked, for the judge.

    Raises:
        DataError: none is left on a side; names what was dropped, and the settings that decide.
    """
    sides = (("training", train, "lower"), ("evaluation", held_out, "raise"))
    for side, rows, move in sides:
        if rows == 0:
            raise DataError(
                f"{name}: no {side} rows left: {ledger.summary()}{_length_words(ledger, lengths)}; "
                f"add rows, or {move} data.eval_share (it is {data.eval_share:g})"
                + (_judge_words(data) if side == "training" and data.judge_share else "")
            )
    if data.judge_share and not ledger.judge_rows:
        raise DataError(
            f"{name}: no rows left for the judge: {ledger.summary()}; add rows, or raise "
            f"data.judge_share (it is {data.judge_share:g}; 0 = no judge)"
        )


def _judge_words(data: DataConfig) -> str:
    return f" or data.judge_share (it is {data.judge_share:g})"


def _length_words(ledger: Ledger, lengths: Lengths) -> str:
    """How long the rows are, where some were too long."""
    if "too_long" not in ledger.dropped:
        return ""
    words = {"prompt": "prompts", "sequence": "prompts with their longest response"}
    parts = []
    for name, entry in lengths.as_dict().items():
        n = entry["quantiles"]
        parts.append(
            f"{words[name]} have {n['min']} to {n['max']} tokens, half of them at most "
            f"{n['p50']}, the limit is {entry['limit']}"
        )
    return f" ({'; '.join(parts)})"
