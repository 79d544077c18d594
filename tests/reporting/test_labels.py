"""A column is named by what it trains, wherever it is named."""

import re
from pathlib import Path

import rlhf_compare.reporting
from rlhf_compare.reporting.comparisons import main_pair
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.report import write_report
from rlhf_compare.reporting.schema import Results
from tests.reporting.conftest import changed


def test_the_label_stands_in_place_of_the_name(results: Results, tmp_path: Path) -> None:
    assert (label_of(results, "dpo"), label_of(results, "best_of_n")) == ("DPO", "best of n")
    named = changed(results, {"methods.dpo.label": "Ipsation"})
    assert label_of(named, "dpo") == "Ipsation" and label_of(named, "ppo") == "PPO"
    write_report(named, tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert "Ipsation" in page
    text = re.sub(r"```.*?```", "", page, flags=re.S)
    assert not re.search(r"\bDPO\b", text), re.findall(r".*\bDPO\b.*", text)


def test_no_page_names_a_column_by_its_section_alone() -> None:
    folder = Path(rlhf_compare.reporting.__path__[0])
    found = [p.name for p in folder.glob("*.py") if "display_name(" in p.read_text()]
    assert sorted(found) == ["labels.py", "numbers.py"]


def test_a_baseline_is_never_one_of_the_pair(results: Results) -> None:
    assert main_pair(results) == ("ppo", "dpo")
    assert main_pair(changed(results, {"methods.ppo.baseline": True})) != ("ppo", "dpo")
