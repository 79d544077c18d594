"""Rows of tests, and what is read from them."""

from typing import Any

import pytest

from rlhf_compare.data.formats import Example, LayoutError, parse_row, recognise
from rlhf_compare.data.reasons import RowDropError

Row = dict[str, Any]
N = 6


def examples(given: list[Row], **named: Any) -> list[Example | str]:
    layout = recognise(given, named.pop("format_name", "auto"), named)
    found: list[Example | str] = []
    for row in given:
        try:
            found.append(parse_row(row, layout, True))
        except RowDropError as drop:
            found.append(drop.reason)
    return found


def answers(given: list[Row], **named: Any) -> list[str]:
    return [e if isinstance(e, str) else e.responses[0] for e in examples(given, **named)]


def question(i: int) -> str:
    return f"Is {i} a tree?"


def said(i: int, **fields: Any) -> Row:
    return {"role": "assistant", "content": f"Text {i}.", **fields}


def refused(given: list[Row], **named: Any) -> str:
    with pytest.raises(LayoutError) as error:
        examples(given, **named)
    return str(error.value)
