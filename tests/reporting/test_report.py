"""The page: complete, and safe against model text."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rlhf_compare.metrics import METRICS
from rlhf_compare.reporting import report
from rlhf_compare.reporting.figures import draw_figures
from rlhf_compare.reporting.report import write_report
from rlhf_compare.reporting.results import load_results
from rlhf_compare.reporting.schema import Results

from .conftest import HOSTILE, changed, only, unmeasured

pytestmark = pytest.mark.usefixtures("quick_figures")


class Tags(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def poisoned(results: Results) -> Results:
    """Hostile text wherever the contract lets text in."""
    source = {
        "name": HOSTILE,
        "format": HOSTILE,
        "columns": {HOSTILE: [HOSTILE]},
        "not_read": [HOSTILE],
        "words": HOSTILE,
    }
    answers = dict.fromkeys(("sft", "ppo", "dpo"), HOSTILE)
    return changed(
        results,
        {
            "recipe.name": HOSTILE,
            "recipe.note": HOSTILE,
            "provenance.command": HOSTILE,
            "provenance.commit": HOSTILE,
            "provenance.data_sha256": HOSTILE,
            "provenance.versions": {HOSTILE: HOSTILE},
            "provenance.device.name": HOSTILE,
            "provenance.ledger.dropped": {HOSTILE: 50},
            "provenance.ledger.sources": [source],
            "samples": [{"prompt": HOSTILE, "held_out": False, **answers}],
        },
    )


def pages(results: Results, directory: Path) -> tuple[str, str]:
    index = write_report(results, directory)
    return index.read_text("utf-8"), (directory / "report.md").read_text("utf-8")


def test_a_report_has_its_four_parts(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "draw_figures", draw_figures)
    assert write_report(results, tmp_path / "new" / "tiny") == tmp_path / "new/tiny/index.html"
    folder = tmp_path / "new" / "tiny"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["figures", "index.html", "report.md", "results.json"]
    assert all(p.stat().st_size > 1000 for p in (folder / "figures").iterdir())
    assert load_results(folder / "results.json") == results


def test_both_pages_say_the_same(results: Results, tmp_path: Path) -> None:
    html, markdown = pages(results, tmp_path)
    headings = re.findall(r"^## (.*)$", markdown, re.MULTILINE)
    assert headings == re.findall(r"<h2>(.*?)</h2>", html)
    assert len(headings) == 14
    assert "<h1>PPO or DPO: tiny</h1>" in html and markdown.startswith("# PPO or DPO: tiny\n")
    for text in ("DPO moved further", "No difference shown in exact KL", "2 (reward, ppo)"):
        assert text in html and text in markdown
    assert markdown.index("DPO moved further") < markdown.index("## Side by side")
    assert "| adoption, exact | probability | higher | 0.050 [0.030, 0.070] |" in markdown
    assert "| KL, k1 | nats/response | lower | not measured |" in markdown
    assert "| efficiency | ratio | higher | does not apply |" in markdown
    assert '<td class="none">not measured</td>' in html


def test_pictures_on_the_pages_exist(results: Results, tmp_path: Path) -> None:
    html, markdown = pages(results, tmp_path)
    assert [tag for tag, _ in Tags(html).seen].count("svg") == 3 and "figures/" not in html
    linked = re.findall(r"!\[[^]]*\]\(([^)]*)\)", markdown)
    assert len(linked) == 3
    assert all((tmp_path / str(name)).is_file() for name in linked)


def test_the_page_is_one_file_and_its_figures_are_text(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "draw_figures", draw_figures)
    html = pages(results, tmp_path / "a")[0]
    assert html == pages(results, tmp_path / "b")[0]
    tags = Tags(html).seen
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids)) > 3
    references = re.findall(r'(?:url\(|href=")#([^")]*)', html)
    assert references and set(references) <= set(ids)
    for tag, attrs in tags:
        assert not {"src", "data", "srcset"} & attrs.keys(), tag
        assert (attrs.get("href") or attrs.get("xlink:href") or "#").startswith("#"), tag
        if tag == "svg":
            assert set(str(attrs["aria-labelledby"]).split()) <= set(ids)
    assert html.count("<style") == 1  # a figure's own sheet would style the whole page
    assert "device time of the whole path (seconds)</text>" in html
    reached = "PPO 0.810 in 90.0 s, DPO 0.930 in 30.0 s. adoption, exact"
    assert f">Adoption reached (one seed, 64 prompts): {reached}" in html


def test_answers_stand_in_as_many_columns_as_there_are_methods(
    results: Results, tmp_path: Path
) -> None:
    results = changed(results, {"methods.dpo_chapter": results.methods["dpo"]})
    assert 'class="answers" style="--methods: 4"' in pages(results, tmp_path)[0]


def test_answers_are_never_empty_boxes_nor_endless(results: Results, tmp_path: Path) -> None:
    answers = {"sft": "", "ppo": "\n" * 823, "dpo": "x" * 100_000}
    results = changed(results, {"samples": [{"prompt": "p", "held_out": True, **answers}]})
    html, markdown = pages(results, tmp_path)
    for page in (html, markdown):
        assert "(empty)" in page and "(empty) but for 823 blank characters" in page
        assert "95,904 more characters" in page  # 100,000 - 4,096
        assert "x" * 4096 in page and "x" * 4097 not in page
    assert '<pre dir="auto" tabindex="0"></pre>' not in html
    assert "max-height" in html


def test_the_page_runs_no_script_and_loads_nothing(results: Results, tmp_path: Path) -> None:
    tags = Tags(pages(poisoned(results), tmp_path)[0]).seen
    policy = next(a["content"] for t, a in tags if t == "meta" and "http-equiv" in a) or ""
    assert policy.startswith("default-src 'none'; ") and "script" not in policy
    names = {tag for tag, _ in tags}
    assert not names & {"script", "iframe", "object", "link", "a", "form", "base", "img"}
    for tag, attrs in tags:
        assert not any(name.startswith("on") for name in attrs), tag


def test_hostile_text_stays_text_in_both_pages(results: Results, tmp_path: Path) -> None:
    html, markdown = pages(poisoned(results), tmp_path)
    for page in (html, markdown):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202e\ud800-\udfff]", page)
        assert "⟨U+202E⟩" in page and "⟨U+001B⟩" in page and "⟨U+D800⟩" in page
        assert "{{ 7 * 7 }}" in page or r"{{ 7 \* 7 }}" in page
    assert "<script" not in html and "&lt;script&gt;" in html
    outside = outside_fences(markdown)
    assert not any(re.search(r"(?<!\\)[<`]", line) for line in outside)
    assert not any(re.search(r"(?<!\\)\]\(javascript", line) for line in outside)
    assert not any(line.startswith("# not a heading") for line in outside)


def outside_fences(markdown: str) -> list[str]:
    """The lines that a Markdown reader would not take as quoted text."""
    lines, opened = [], ""
    for line in markdown.split("\n"):
        ticks = re.match(r"`{3,}", line)
        if opened:
            if line.strip() == line and set(line) == {"`"} and len(line) >= len(opened):
                opened = ""
        elif ticks:
            opened = ticks.group()
        else:
            lines.append(line)
    assert not opened, "a fence was never closed"
    return lines


def test_table_rows_keep_their_columns(results: Results, tmp_path: Path) -> None:
    outside = outside_fences(pages(poisoned(results), tmp_path)[1])
    version = next(line for line in outside if line.startswith("| version of"))
    assert len(re.findall(r"(?<!\\)\|", version)) == 3


@pytest.mark.parametrize("kept", [("sft",), ("ppo",), ("sft", "dpo"), ("ppo", "dpo")])
def test_partial_results(results: Results, tmp_path: Path, kept: tuple[str, ...]) -> None:
    results = changed(only(results, *kept), {"samples": [{"prompt": "p", "held_out": True}]})
    html, markdown = pages(results, tmp_path)
    for page in (html, markdown):
        assert "not measured" in page
        for absent in {"ppo", "dpo"} - set(kept):
            assert f">{absent.upper()}<" not in page and f"| {absent.upper()} |" not in page
    assert f"\n{kept[0].upper()}: not measured\n" in markdown


def test_nothing_measured_at_all(results: Results, tmp_path: Path) -> None:
    cost = ("device_seconds", "peak_memory_bytes", "tokens", "padding_share")
    paths = [metric.path for metric in METRICS if metric.source != "cost"]
    results = unmeasured(results, *paths, *(f"cost.{part}" for part in cost))
    results = changed(results, {"comparisons": [], "samples": []})
    html, markdown = pages(results, tmp_path)
    assert "<svg" not in html and "figures/" not in markdown
    assert "No answers were recorded." in html and "No answers were recorded." in markdown
