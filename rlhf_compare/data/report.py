"""``data_report.json``: everything that can be said of the data before anyone trains."""

from typing import Any

from rlhf_compare.data.prepare import PreparedData


def data_report(prepared: PreparedData, source_sha256: str) -> dict[str, Any]:
    """Counts, every reason with examples, near-duplicates, lengths."""
    counts = prepared.ledger.as_dict()
    return {
        "sha256": source_sha256,
        **{name: value for name, value in counts.items() if name not in ("dropped", "named")},
        "dropped": prepared.ledger.reasons(),
        **prepared.report,
    }
