"""The numbers of the README are those of the committed report."""

import re
from pathlib import Path

from rlhf_compare.metrics import BY_PATH
from rlhf_compare.reporting.numbers import format_value
from rlhf_compare.reporting.results import load_results

_ROOT = Path(__file__).resolve().parents[1]
_ROWS = {
    "adoption, exact (probability)": "adoption.exact",
    "adoption, greedy (share)": "adoption.greedy",
    "KL to the reference, exact (nats per response)": "kl_to_reference.exact",
    "of it, on the style": "kl_to_reference.style",
    "of it, on the content": "kl_to_reference.content",
    "least KL possible for that adoption": "kl_to_reference.floor",
    "efficiency (least / spent)": "kl_to_reference.efficiency",
    "reward, by the model that PPO was trained against": "reward.proxy",
    "reward, by a model that no policy saw": "reward.held_out",
    "device seconds of the whole path": "cost.device_seconds.path_total",
    "of them, after SFT": "cost.device_seconds.after_sft",
}


def rows() -> dict[str, list[str]]:
    """The README's first table: label -> cells, in the order of the report's methods."""
    results = load_results(_ROOT / "reports" / "examples" / "tiny" / "results.json")
    table = {}
    for label, path in _ROWS.items():
        style = BY_PATH[path].style
        measured = [method.measured(path) for method in results.methods.values()]
        cells = [format_value(value, style) for value in measured]
        table[label] = [str(cell) if cell.measured else "" for cell in cells]
    return table


def test_the_table_holds_the_numbers_of_the_report() -> None:
    text = (_ROOT / "README.md").read_text(encoding="utf-8")
    found = {}
    for line in re.findall(r"^\|(.+)\|$", text, re.MULTILINE):
        label, *cells = (part.strip() for part in line.split("|"))
        if label in _ROWS:
            found[label] = cells
    assert found == rows()
