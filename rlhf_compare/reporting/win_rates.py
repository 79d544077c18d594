"""Whose answers a judge prefers, and how far that judge can be trusted: look-ups and tables."""

from rlhf_compare.reporting.comparisons import SFT, main_pair
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.method_schema import Estimate
from rlhf_compare.reporting.numbers import NOT_MEASURED, format_value
from rlhf_compare.reporting.schema import Judge, Results, WinRate
from rlhf_compare.reporting.tables import ABSENT, Table

PROXY = "reward.proxy"
_WORDS = {
    "reward.held_out": "reward model that no policy was trained against",
    PROXY: "reward model that methods with a reward were trained against",
}


def win_rate(results: Results, a: str, b: str, judge: str | None = None) -> WinRate | None:
    """How often a's answers are preferred to b's, whichever of the two the results name first.

    Args:
        judge: its name in the results; None = the first that no policy was trained against.
    """
    for row in results.win_rates:
        fits = row.judge == judge if judge is not None else row.judge != PROXY
        if fits and {row.a, row.b} == {a, b}:
            return row if row.a == a else _turned(row)
    return None


def _turned(row: WinRate) -> WinRate:
    share = row.share
    turned = Estimate(
        mean=1.0 - share.mean,
        low=None if share.high is None else 1.0 - share.high,
        high=None if share.low is None else 1.0 - share.low,
        n=share.n,
        seeds=share.seeds,
        units=share.units,
        by_seed=[None if one is None else 1.0 - one for one in share.by_seed],
    )
    return row.model_copy(update={"a": row.b, "b": row.a, "share": turned})


def judge_of(results: Results, name: str) -> Judge | None:
    """What is known of a judge; None where the results say nothing of it."""
    return next((judge for judge in results.judges if judge.judge == name), None)


def judge_words(results: Results, name: str) -> str:
    """Which judge that is, in words."""
    found = judge_of(results, name)
    return (found.words if found is not None else "") or _WORDS.get(name, name)


def win_rates_table(results: Results) -> Table:
    """Every win rate, the pair that was asked about first."""
    pair = set(main_pair(results) or ())

    def rank(row: WinRate) -> int:
        sides = {row.a, row.b}
        return 0 if sides == pair else 1 if SFT in sides else 2

    rows = []
    for row in sorted(results.win_rates, key=rank):
        adjusted = "exploratory" if row.p_adjusted is None else f"{row.p_adjusted:.2g}"
        rows.append(
            (
                f"{label_of(results, row.a)} against {label_of(results, row.b)}",
                judge_words(results, row.judge),
                str(format_value(row.share, "share")),
                ties_of(row.ties),
                _or_absent(row.consistent),
                f"{label_of(results, row.winner)} preferred" if row.winner else row.verdict,
                adjusted,
            )
        )
    return Table(
        header=("answers of", "judge", "win rate", "ties", "same in both orders", "verdict",
                "p, adjusted"),
        rows=tuple(rows),
        note=_NOTE,
    )  # fmt: skip


_NOTE = (
    "Win rate: comparisons that the first method's answer won, a tie counting 1/2; 0.5 is a draw. "
    "Answers are sampled at temperature 1, and both methods' answers stand before the judge of one "
    "seed. A reward model scores one answer at a time, so that order cannot sway it, and compares "
    "every sampled answer of the one with every one of the other. A judge that reads two answers "
    "is asked in both orders about the first sample of each; the mean of the two counts. Equal "
    "answers tie. Brackets hold 95 % intervals; verdicts as in the differences."
)


def judges_table(results: Results) -> Table:
    """How far each judge agrees with the labels of held-out pairs."""
    rows = [
        (
            judge_words(results, judge.judge),
            str(format_value(judge.accuracy, "share")),
            ties_of(judge.ties),
            _or_absent(judge.consistent),
            ABSENT if judge.accuracy is None else f"{judge.accuracy.n:,}",
        )
        for judge in results.judges
    ]
    reasons = [
        f"{judge_words(results, judge.judge)} did not judge: {judge.reason}"
        for judge in results.judges
        if judge.reason
    ]
    return Table(
        header=("judge", "accuracy on labelled pairs", "ties", "same in both orders", "prompts"),
        rows=tuple(rows),
        note=" ".join(
            [
                "Held-out pairs on the prompts that the methods are measured on: how often the "
                "judge puts the response first that the labels do, a tie counting 1/2, mean over "
                "prompts. 0.5 is guessing, and the verdict of a judge that guesses is none.",
                *reasons,
            ]
        ),
    )


def ties_of(ties: Estimate | None) -> str:
    """A share of ties in three decimals, without the interval that results.json holds."""
    if ties is None:
        return ABSENT
    return "<0.001" if 0.0 < ties.mean < 0.0005 else f"{ties.mean:.3f}"


def _or_absent(value: Estimate | None) -> str:
    found = str(format_value(value, "share"))
    return ABSENT if found == NOT_MEASURED else found
