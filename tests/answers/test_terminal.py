"""Answers on a screen: side by side, the marker picked out, hostile text shown and not obeyed."""

import io

from rich.console import Console

from rlhf_compare.answers.answer import Answer, Asked
from rlhf_compare.answers.terminal import print_asked

HOSTILE = "Let me explain.\x1b[31m \x9b2J [red]x[/red] \u202e\r\n\x07 end"


def answer(policy: str, text: str, **values: object) -> Answer:
    given = {
        "label": policy.upper(), "seed": 0, "opens_with_marker": False, "adoption": 0.25,
        "kl": 1.5, "kl_bound": None, "reward": -3.0, "judge": None, "tokens": 9,
        "sampled_tokens": 9, "ended": True, **values,
    }  # fmt: skip
    return Answer(policy=policy, text=text, **given)  # type: ignore[arg-type]


def asked(*answers: Answer, marker: str | None = "let me explain") -> Asked:
    return Asked(
        question="What\x1b]0;title\x07 is it?", prompt="", prompt_tokens=3, recipe="made_up",
        marker=marker, answers=list(answers), missing=[], temperature=None, seed_of_draw=0,
        max_new_tokens=64,
    )  # fmt: skip


def printed(what: Asked, terminal: bool, colours: bool = False) -> str:
    out = io.StringIO()
    screen = Console(
        file=out, force_terminal=terminal, width=80,
        color_system="standard" if colours else None,
    )  # fmt: skip
    print_asked(what, screen)
    return out.getvalue()


def test_hostile_text_is_shown_and_not_obeyed() -> None:
    for terminal in (True, False):
        text = printed(asked(answer("ppo", HOSTILE, opens_with_marker=True)), terminal)
        for control in ("\x1b]", "\x1b[31m", "\x9b", "\u202e", "\r", "\x07"):
            assert control not in text, (terminal, control)
        assert "⟨U+001B⟩[31m" in text and "[red]x[/red]" in text


def test_without_a_terminal_an_answer_is_two_lines() -> None:
    text = printed(asked(answer("ppo", "a\nb" * 200), answer("dpo", "c", ended=False)), False)
    lines = text.splitlines()
    assert [line.split(":")[0] for line in lines] == ["question", "PPO", "PPO", "DPO", "DPO"]
    assert lines[-1] == (
        "DPO: 'let me explain': no; adoption, exact: 0.250; KL, nats: 1.50; reward: -3.00; "
        "tokens: 9, cut"
    )


def test_the_marker_is_picked_out_where_the_answer_opens_with_it() -> None:
    text = printed(asked(answer("ppo", "  Let me explain. A", opens_with_marker=True)), True, True)
    assert "\x1b[1;32mLet me explain\x1b[0m. A" in text
    text = printed(asked(answer("ppo", "\r Let me explain. A", opens_with_marker=True)), True, True)
    assert "⟨U+000D⟩ \x1b[1;32mLet me explain\x1b[0m. A" in text
    plain = printed(asked(answer("sft", "Let me explain. A")), True, True)
    assert "\x1b[1;32m" not in plain


def test_the_table_fits_80_columns_and_leaves_out_what_nobody_has() -> None:
    answers = [answer("ppo", "word " * 100), answer("best_of_n", "", kl=None, kl_bound=0.2)]
    text = printed(asked(*answers), True)
    assert max(map(len, text.splitlines())) <= 80
    assert "judge" not in text and "at most 0.2" in text and "(empty)" in text
    bare = printed(asked(answer("ppo", "x", adoption=None), marker=None), True)
    assert "adoption" not in bare and "explain" not in bare


def test_several_seeds_are_told_apart() -> None:
    both = asked(answer("ppo", "x"), answer("ppo", "y", seed=3))
    assert "seed 3" in printed(both, True) and "PPO, seed 3: y" in printed(both, False)
    assert "seed" not in printed(asked(answer("ppo", "x")), True)
