"""Answers that a page can show."""

import pytest

from rlhf_compare.reporting.answers import Shown, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Shown("", "(empty)")),
        (" \n\u3000", Shown("", "(empty) but for 3 blank characters")),
        ("a\n\n\nb", Shown("a\n\n\nb")),  # two blank lines are a style
        ("a\n\n \n\t\nb", Shown("a\n\u27e83 blank lines\u27e9\nb")),
        ("a" + "\n" * 1001, Shown("a\n\u27e81,001 blank lines\u27e9")),
        ("x" * 4096, Shown("x" * 4096)),
        ("x" * 4097, Shown("x" * 4096, "1 more characters")),
    ],
)
def test_shown(text: str, expected: Shown) -> None:
    assert shown(text) == expected
