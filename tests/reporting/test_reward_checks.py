"""The doctor's findings on the page and in the terminal. MADE-UP NUMBERS, as in conftest.py."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rlhf_compare.reporting.caveats import caveats
from rlhf_compare.reporting.figures import draw_figures
from rlhf_compare.reporting.report import write_report
from rlhf_compare.reporting.results import ResultsError, parse_results
from rlhf_compare.reporting.reward_checks import calibration, doctor_table
from rlhf_compare.reporting.schema import Results
from rlhf_compare.reporting.terminal import print_doctor
from rlhf_compare.reporting.verdict import verdict

from .conftest import changed, only, plain, put
from .conftest import reward_model as model


@pytest.fixture
def examined(results: Results) -> Results:
    return changed(results, {"reward_models": [model()]})


def test_the_table_has_numbers_verdicts_and_sentences() -> None:
    table = doctor_table([model()])
    assert table.rows[0] == (
        "held out accuracy", "0.875 [0.800, 0.930]", "ok", "what held_out_accuracy says",
    )  # fmt: skip
    assert table.rows[1][1:3] == ("-", "n/a") and table.rows[2][1:3] == ("3.25", "fail")


def test_several_seeds_show_every_verdict() -> None:
    table = doctor_table([model(0), model(3, repeated="warn")])
    assert table.rows[2][2] == "fail / warn"
    assert "verdicts of seeds 0, 3" in table.note


def test_what_all_seeds_agree_on_is_said_once() -> None:
    table = doctor_table([model(seed) for seed in range(5)])
    assert [row[2] for row in table.rows] == [
        "ok, all 5 seeds",
        "n/a, all 5 seeds",
        "fail, all 5 seeds",
    ]


def test_an_overruled_doctor_is_said_everywhere(examined: Results, tmp_path: Path) -> None:
    """PPO ran against a model that failed: no page may say that this keeps PPO from starting."""
    examined = changed(examined, {"recipe.reward": {"accept_failed_doctor": True}})
    said = (
        "The reward model that PPO trained against failed 1 of its checks (one token repeated; "
        "seed 0), accepted by reward.accept_failed_doctor."
    )
    assert said in verdict(examined) and any(said in caveat for caveat in caveats(examined))
    write_report(examined, tmp_path)
    for name in ("report.md", "index.html"):
        text = (tmp_path / name).read_text().replace("\\_", "_")
        assert "keeps PPO from starting" not in text and text.count(said) == 3


@pytest.mark.parametrize("case", ["no check failed", "nothing trained against it"])
def test_where_no_doctor_was_overruled_the_rule_stands(
    examined: Results, tmp_path: Path, case: str
) -> None:
    if case == "no check failed":
        examined = changed(examined, {"reward_models": [model(repeated="warn")]})
    else:
        examined = only(examined, "sft", "dpo")
    assert "failed 1 of its checks" not in " ".join([*verdict(examined), *caveats(examined)])
    write_report(examined, tmp_path)
    assert "keeps PPO from starting unless" in (tmp_path / "report.md").read_text()


def test_a_variant_that_trained_against_a_failed_model_is_named(examined: Results) -> None:
    variants = {"strict": {"method": "ppo", "settings": {}}}
    ppo = examined.methods["ppo"]
    examined = changed(examined, {"recipe.variants": variants, "methods.strict": ppo})
    assert any("that PPO and strict trained against" in line for line in verdict(examined))


def test_the_figure_says_what_was_claimed_and_reached(examined: Results) -> None:
    """Claimed: (10 x 0.6 + 30 x 0.9) / 40 = 0.825; reached: (5 + 30) / 40 = 0.875."""
    figure = calibration(examined)
    assert figure is not None
    title = figure.axes[0].get_title(loc="left")
    assert title == "The reward model claims 0.82 and reaches 0.88 on 40 pairs"


def test_without_a_reward_model_there_is_neither(results: Results, tmp_path: Path) -> None:
    for page in (results, changed(results, {"reward_models": []})):  # as of DPO alone
        assert calibration(page) is None
        write_report(page, tmp_path)
        assert "Is the reward model any good" not in (tmp_path / "report.md").read_text()
        assert not (tmp_path / "figures" / "calibration.png").exists()


def test_both_pages_show_it_and_no_token_can_write_to_them(
    examined: Results, tmp_path: Path
) -> None:
    write_report(examined, tmp_path)
    for name in ("report.md", "index.html"):
        text = (tmp_path / name).read_text()
        assert "Is the reward model any good?" in text and "Calibration of the reward" in text
        assert "0.875 [0.800, 0.930]" in text and "<script>" not in text
    assert "calibration" in [drawing.name for drawing in draw_figures(examined, tmp_path)]


def test_the_terminal_prints_it_in_80_columns() -> None:
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=False)
    print_doctor(model(7), console=console)
    text = file.getvalue()
    assert "reward model, seed 7" in text and max(map(len, text.splitlines())) <= 80
    for word in ("held out accuracy", "0.875", "[0.800, 0.930]", "fail", "n/a"):
        assert word in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("checks.0.verdict", "fine"),
        ("checks.0.value", "high"),
        ("calibration.0", {"accuracy": 1.0}),
    ],
)
def test_a_finding_that_is_none_is_refused(data: dict[str, Any], path: str, value: Any) -> None:
    data["reward_models"] = [plain(model())]
    put(data, f"reward_models.0.{path}", value)
    with pytest.raises(ResultsError, match=r"\$\.reward_models\[0\]\."):
        parse_results(data)


def test_a_calibration_says_how_sure_the_model_was(data: dict[str, Any]) -> None:
    data["reward_models"] = [plain(model())]
    del data["reward_models"][0]["calibration"][1]["confidence"]
    with pytest.raises(ResultsError, match=r"calibration\[1\]\.confidence: Field required"):
        parse_results(data)
