"""CSV and TSV as spreadsheets and scripts write them: every text whole, or the reason named."""

from io import BytesIO
from itertools import islice
from pathlib import Path

import pytest

from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.parse import ParseSettings, parse_row_or_reason
from rlhf_compare.data.sources import open_sources
from rlhf_compare.data.tables import table_rows
from rlhf_compare.errors import DataError

HEAD = "prompt,chosen,rejected"
ROWS = [f"Why {i}?,So {i}.,No {i}." for i in range(4)]
TABLE = "\n".join([HEAD, *ROWS]) + "\n"


def read(path: Path, text: str) -> list[str]:
    """The prompt of each row with its chosen text, or the reason for which the row is dropped."""
    path.write_text(text, newline="")
    data = DataConfig(source="file", path=str(path))
    source = open_sources(data)[0]
    task = TaskConfig(name="preference", template="{question}")
    settings = ParseSettings.of(data, data, source.layout, task, None)
    rows = [parse_row_or_reason(row["raw"], settings) for chunk in source.chunks() for row in chunk]
    return [row["reason"] or f"{row['prompt']} {row['responses'][0]}" for row in rows]


WANTED = [f"Why {i}? So {i}." for i in range(4)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.csv", "sep=;\r\n" + TABLE.replace(",", ";").replace("\n", "\r\n")),
        ("rows.csv", f"\ufeffsep=,\n{TABLE}"),
        ("rows.csv", f"\n \n{TABLE}"),
        ("rows.csv", TABLE.replace(",", ";").replace("prompt", '"prompt"')),
        ("rows.csv", "prompt;chosen;rejected;a note, long\n"
         + "".join(f"{row.replace(',', ';')};x\n" for row in ROWS)),
        ("rows.csv", TABLE.replace("\n", ",,\n")),  # two columns without a name
    ],
)  # fmt: skip
def test_the_same_rows(tmp_path: Path, name: str, text: str) -> None:
    assert read(tmp_path / name, text) == WANTED


def test_a_row_with_fewer_cells_than_the_header_is_a_fault(tmp_path: Path) -> None:
    assert read(tmp_path / "rows.csv", f"{TABLE}Why 9?,So 9.\n") == [*WANTED, "missing_cells"]
    short = "\n".join([HEAD, *(row.rsplit(",", 1)[0] for row in ROWS)])
    with pytest.raises(DataError, match=r"line 2: missing_cells.*quotes") as error:
        read(tmp_path / "rows.csv", short)
    assert "JSON" not in str(error.value)


@pytest.mark.parametrize(
    "row",
    [
        'Why 9?,"So \\"9\\".",No.',  # quotes marked by a backslash
        'Why 9?,"So 9.,No 9.',  # a quote that nothing closes: it would swallow the rest
        '"Why" 9?,So 9.,No.',
    ],
)
def test_quotes_that_do_not_fit_stop_the_reading(tmp_path: Path, row: str) -> None:
    with pytest.raises(DataError, match=r"after line 2: .*a quote inside a cell is doubled"):
        read(tmp_path / "rows.csv", "\n".join([HEAD, ROWS[0], row, *ROWS[1:]]) + "\n")


# --- tables without a header


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "What is rain?,Water from clouds.\nWhat is snow?,Frozen water.\n"),
        ("a.csv", "What is rain?\nWhat is snow?\n"),
        ("a.csv", "1,What is rain?,Water from clouds.\n2,What is snow?,Frozen water.\n"),
        ("a.tsv", "What is rain?\tWater from clouds.\nWhat is snow?\tFrozen water.\n"),
        ("a.csv", '"Rain, is it wet?","Yes"\n"Snow, is it wet?","Yes"\n'),
        ("a.csv", "Is rain wet?,Is rain wet?\nWhat is rain?,Water it is\n"),
    ],
)
def test_a_table_without_a_header_is_told_so(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as error:
        open_sources(DataConfig(source="file", path=str(tmp_path / name)))
    words = str(error.value)
    assert "its first line looks like a row, not like the names of its columns" in words
    assert "prompt,completion" in words and "no known format" not in words


def test_a_header_of_unknown_names_is_not_taken_for_a_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("alpha,beta\nWhat is rain?,Water from clouds.\n")
    with pytest.raises(DataError, match="columns alpha, beta: no known format"):
        open_sources(DataConfig(source="file", path=str(tmp_path / "a.csv")))


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_the_stream_stays_open_for_who_opened_it(rows: int) -> None:
    stream = BytesIO(b"a,b\n1,2\n3,4\n")
    reading = table_rows(stream, ",")
    assert len(list(islice(reading, rows))) == min(rows, 2)
    reading.close()
    assert not stream.closed
