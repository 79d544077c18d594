"""The data stage of a recipe: sources in, a data directory out."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rlhf_compare.data.config import DataConfig, TaskConfig
from rlhf_compare.data.control import Tokenizer
from rlhf_compare.data.ledger import Ledger
from rlhf_compare.data.prepare import PreparedData, prepare
from rlhf_compare.data.store import DataDirectory


def prepare_data(
    directory: DataDirectory,
    data: DataConfig,
    task: TaskConfig,
    questions: Sequence[str],
    get_tokenizer: Callable[[Iterable[str]], Tokenizer],
    source_sha256: str,
) -> Ledger:
    """Prepare the rows and leave them, with tokenizer, ledger and report, in the directory.

    Raises:
        DataError: see :func:`prepare`.
    """
    prepared = prepare(data, task, get_tokenizer, questions, directory.path)
    report = data_report(prepared, source_sha256)
    directory.write(prepared.ledger.as_dict(), report, prepared.tokenizer)
    return prepared.ledger


def data_report(prepared: PreparedData, source_sha256: str) -> dict[str, Any]:
    """``data_report.json``: counts, every reason with examples, near-duplicates, lengths."""
    counts = prepared.ledger.as_dict()
    return {
        "sha256": source_sha256,
        **{name: value for name, value in counts.items() if name not in ("dropped", "named")},
        "dropped": prepared.ledger.reasons(),
        **prepared.report,
    }
