"""The page: complete, safe against model text, whole or not at all."""

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rlhf_compare.metrics import METRICS
from rlhf_compare.reporting import report
from rlhf_compare.reporting.escaping import escape_markdown, fence, visible
from rlhf_compare.reporting.figures import DRAWINGS, Drawing, draw_figures
from rlhf_compare.reporting.report import Page, write_report
from rlhf_compare.reporting.results import as_data, load_results
from rlhf_compare.reporting.schema import Results

from .conftest import changed, only, unmeasured

HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(2)> ```\n# not a heading\n````text "
    "\u202eright to left \x1b[31mred\x1b[0m \x00 \u200b \ud800 {{ 7 * 7 }} | cell | "
    "[link](javascript:alert(3))\r\nlast"
)


@pytest.fixture(autouse=True)
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Placeholders for pictures, by the same rule of what can be drawn: rendering takes a second.

    What they hold follows the numbers, so that an old picture can be told from a new one.
    """

    def sketch(results: Results, directory: Path) -> list[Drawing]:
        drawn = [drawing for drawing in DRAWINGS if drawing.draw(results) is not None]
        content = json.dumps(as_data(results)["methods"])
        for drawing in drawn:
            (directory / f"{drawing.name}.png").write_text(content)
            (directory / f"{drawing.name}.svg").write_text(
                f"<svg xmlns='http://www.w3.org/2000/svg'><!--{len(content)}--></svg>"
            )
        return drawn

    monkeypatch.setattr(report, "draw_figures", sketch)


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
    assert len(headings) == 12
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
    assert ">Adoption reached: PPO 0.810 in 90.0 s, DPO 0.930 in 30.0 s. adoption, exact" in html


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


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_error_while_rendering_changes_nothing(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(results, tmp_path)
    before = snapshot(tmp_path)

    def broken(page: Page) -> str:
        raise RuntimeError("planted")

    monkeypatch.setattr(report, "render_html", broken)
    with pytest.raises(RuntimeError, match="planted"):
        write_report(changed(results, {"recipe.name": "other"}), tmp_path)
    assert snapshot(tmp_path) == before


def test_a_failure_at_any_rename_leaves_whole_files(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(results, tmp_path / "old")
    old = snapshot(tmp_path / "old")
    results = changed(results, {"methods.ppo.adoption.exact.mean": 0.5})
    write_report(results, tmp_path / "new")
    new = snapshot(tmp_path / "new")
    real, count, fail_at = os.replace, 0, 0

    def failing(source: Any, target: Any) -> None:
        nonlocal count
        count += 1
        if count == fail_at:
            raise OSError(5, "Input/output error")
        real(source, target)

    monkeypatch.setattr(os, "replace", failing)
    for attempt in range(1, 50):
        count, fail_at = 0, attempt
        try:
            write_report(results, tmp_path / "old")
        except OSError:
            after = snapshot(tmp_path / "old")
            assert after.keys() == old.keys()
            assert all(content in (old[name], new[name]) for name, content in after.items())
        else:
            break
    assert fail_at == 13  # 3 files staged, 6 pictures and 3 files published, all of them failed
    assert snapshot(tmp_path / "old") == new


def test_a_figure_of_an_earlier_report_does_not_linger(results: Results, tmp_path: Path) -> None:
    write_report(results, tmp_path)
    (tmp_path / "figures" / "mine.png").write_bytes(b"kept")
    results = changed(unmeasured(results, "kl_to_reference"), {"comparisons": []})
    write_report(results, tmp_path)
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert "adoption_against_kl.png" not in names and "adoption_against_kl.svg" not in names
    assert {"mine.png", "adoption_against_seconds.png"} <= names
