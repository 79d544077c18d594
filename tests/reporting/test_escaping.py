"""Hostile text is made harmless, and ordinary text stays as it is."""

import pytest

from rlhf_compare.reporting.escaping import escape_markdown, fence, visible


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "```text\nplain\n```"),
        ("a ``` b", "````text\na ``` b\n````"),
        ("``````", "```````text\n``````\n```````"),
        ("\u202e", "```text\n⟨U+202E⟩\n```"),
    ],
)
def test_fence(text: str, expected: str) -> None:
    assert fence(text) == expected


def test_visible_keeps_ordinary_text() -> None:
    assert visible("naïve Ω 漢字 🙂\n\tx") == "naïve Ω 漢字 🙂\n\tx"
    assert visible("a\nb\u2028", line=True) == "a⟨U+000A⟩b⟨U+2028⟩"


FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(
    "text",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian: I want
        "\u0915\u094d\u200d\u0937",  # Hindi: a virama, then a joiner
        FAMILY,
        "\U0001f3f3\ufe0f\u200d\U0001f308",  # a flag, a variation selector, a rainbow
        "\U0001f469\U0001f3fd\u200d\U0001f52c",  # a modifier of the skin's colour before it
    ],
)
def test_a_joiner_between_letters_or_emoji_is_spelling(text: str) -> None:
    assert visible(text) == visible(text, line=True) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\u200da", "⟨U+200D⟩a"),
        ("a\u200c", "a⟨U+200C⟩"),
        ("a \u200d b", "a ⟨U+200D⟩ b"),
        ("1\u200d2", "1⟨U+200D⟩2"),
        ("a\u200d\u200db", "a⟨U+200D⟩⟨U+200D⟩b"),
        ("a\u202eb\u2066c\u200fd\u200be", "a⟨U+202E⟩b⟨U+2066⟩c⟨U+200F⟩d⟨U+200B⟩e"),
    ],
)
def test_any_other_hidden_character_is_shown(text: str, expected: str) -> None:
    assert visible(text) == expected


def test_escape_markdown_leaves_numbers_and_names_readable() -> None:
    assert escape_markdown("0.5 [0.4, 0.6] recipes/tiny_a.yaml") == (
        "0.5 [0.4, 0.6] recipes/tiny_a.yaml"
    )
    assert escape_markdown("_a_ [x](y) a|b") == r"\_a\_ [x\](y) a\|b"
