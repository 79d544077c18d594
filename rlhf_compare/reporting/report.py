"""The page: results.json, report.md, index.html and figures/, written whole or not at all."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from rlhf_compare.metrics import METRICS, Metric
from rlhf_compare.reporting import tables
from rlhf_compare.reporting.answers import Shown, shown
from rlhf_compare.reporting.caveats import caveats
from rlhf_compare.reporting.comparisons import contenders
from rlhf_compare.reporting.doctor import overruled
from rlhf_compare.reporting.escaping import Markdown, escape_markdown, fence, visible_value
from rlhf_compare.reporting.figures import DRAWINGS, Drawing, draw_figures
from rlhf_compare.reporting.held_equal import held_equal_table
from rlhf_compare.reporting.inline import inline_svg
from rlhf_compare.reporting.labels import label_of
from rlhf_compare.reporting.needs import needs_table
from rlhf_compare.reporting.numbers import DOES_NOT_APPLY, NOT_MEASURED
from rlhf_compare.reporting.results import as_data, write_results
from rlhf_compare.reporting.reward_checks import doctor_table
from rlhf_compare.reporting.schema import Results, Sample
from rlhf_compare.reporting.verdict import Verdict, verdict
from rlhf_compare.reporting.win_rates import judges_table, win_rates_table
from rlhf_compare.runs.files import replace_text, sync_folder

PAGE, MARKDOWN, RESULTS, FIGURE_FOLDER = "index.html", "report.md", "results.json", "figures"


def write_report(results: Results, directory: Path) -> Path:
    """Write the report of `results` into `directory` and return the path of its index.html.

    Everything is made in a temporary folder beside its place first, so an error leaves what was
    there untouched. Then each file is renamed into place, the pages last: a crash in between
    leaves every file whole, the old one or the new one.
    """
    directory.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".report-", dir=directory))
    try:
        (staging / FIGURE_FOLDER).mkdir()
        drawings = draw_figures(results, staging / FIGURE_FOLDER)
        page = _page(results, drawings, staging / FIGURE_FOLDER)
        write_results(results, staging / RESULTS)
        replace_text(staging / MARKDOWN, render_markdown(page))
        replace_text(staging / PAGE, render_html(page))
        _publish(staging, directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return directory / PAGE


def _publish(staging: Path, directory: Path) -> None:
    target = directory / FIGURE_FOLDER
    target.mkdir(exist_ok=True)
    fresh = sorted(path.name for path in (staging / FIGURE_FOLDER).iterdir())
    for name in fresh:
        os.replace(staging / FIGURE_FOLDER / name, target / name)
    sync_folder(target)
    for name in (RESULTS, MARKDOWN, PAGE):
        os.replace(staging / name, directory / name)
    sync_folder(directory)
    # an earlier report's figure that these results cannot draw; nothing but our own is removed
    for drawing in DRAWINGS:
        for name in (f"{drawing.name}.png", f"{drawing.name}.svg"):
            if name not in fresh:
                (target / name).unlink(missing_ok=True)


def render_markdown(page: "Page") -> str:
    """report.md: every value is escaped on its way in unless it is marked as Markdown."""
    environment = _environment(escape=False, finalize=_finalize_markdown)
    environment.filters["table"] = _markdown_table
    environment.filters["fence"] = fence
    environment.filters["shown"] = _markdown_box
    return environment.get_template("report.md.j2").render(vars(page))


def render_html(page: "Page") -> str:
    """index.html: one file that loads nothing, autoescaped, hidden characters shown, no script by
    its own security policy."""
    environment = _environment(escape=True, finalize=visible_value)
    return environment.get_template("index.html.j2").render(vars(page)).lstrip()


def _environment(*, escape: bool, finalize: Callable[[Any], Any]) -> Environment:
    return Environment(
        loader=PackageLoader("rlhf_compare.reporting"),
        autoescape=escape,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _finalize_markdown(value: Any) -> str:
    return escape_markdown(value)


def _markdown_box(box: Shown) -> Markdown:
    parts = [fence(box.text)] if box.text else []
    return Markdown("\n\n".join([*parts, *([escape_markdown(box.note)] if box.note else [])]))


def _markdown_table(table: tables.Table) -> Markdown:
    lines = [table.header, tuple("---" for _ in table.header), *table.rows]
    text = "\n".join("| " + " | ".join(map(escape_markdown, line)) + " |" for line in lines)
    return Markdown(f"{text}\n\n{escape_markdown(table.note)}" if table.note else text)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure for both pages: report.md links its file, index.html holds it."""

    name: str
    heading: str
    caption: str
    svg: Markup


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A prompt and, by the methods' displayed names, their answers; None where there is none."""

    prompt: Shown
    held_out: bool
    answers: list[tuple[str, Shown | None]]


@dataclass(frozen=True, kw_only=True)
class Page:
    """Everything that both pages show: the same content, two renderings."""

    title: str
    verdict: Verdict
    names: list[str]
    rows: tuple[tables.Row, ...]
    metrics: tables.Table
    drawings: list[Figure]
    differences: tables.Table
    win_rates: tables.Table
    judges: tables.Table
    equal: tables.Table
    needs: tables.Table
    held_equal: tables.Table
    samples: list[Asked]
    doctor: tables.Table | None
    cost: tables.Table
    ledger: tables.Table
    caveats: list[str]
    glossary: tuple[Metric, ...]
    provenance: tables.Table
    recipe: str
    not_measured: str = NOT_MEASURED
    nothing: tuple[str, str] = (NOT_MEASURED, DOES_NOT_APPLY)


def _page(results: Results, drawings: list[Drawing], figures: Path) -> Page:
    *others, last = [label_of(results, name) for name in contenders(results)] or ["SFT"]
    models = results.reward_models
    compared = f"{', '.join(others)} or {last}" if others else last
    return Page(
        title=f"{compared}: {results.recipe.name}",
        verdict=verdict(results),
        names=[label_of(results, name) for name in results.methods],
        rows=tables.side_by_side(results),
        metrics=tables.metrics_table(results),
        drawings=[_figure(results, drawing, figures) for drawing in drawings],
        differences=tables.differences_table(results),
        win_rates=win_rates_table(results),
        judges=judges_table(results),
        needs=needs_table(results),
        samples=[_asked(results, sample) for sample in results.samples],
        equal=tables.equal_table(results),
        held_equal=held_equal_table(results),
        doctor=doctor_table(models, overruled(results)) if models else None,
        cost=tables.cost_table(results),
        ledger=tables.ledger_table(results),
        caveats=caveats(results),
        glossary=METRICS,
        provenance=tables.provenance_table(results),
        recipe=json.dumps(as_data(results)["recipe"], indent=2),
    )


def _asked(results: Results, sample: Sample) -> Asked:
    names, answers = list(results.methods), sample.answers
    return Asked(
        prompt=shown(sample.prompt),
        held_out=sample.held_out,
        answers=[
            (label_of(results, n), shown(answers[n]) if n in answers else None) for n in names
        ],
    )


def _figure(results: Results, drawing: Drawing, folder: Path) -> Figure:
    svg = (folder / f"{drawing.name}.svg").read_text(encoding="utf-8")
    return Figure(
        name=drawing.name,
        heading=drawing.heading,
        caption=drawing.caption_of(results),
        svg=Markup(inline_svg(svg, drawing.name)),
    )
