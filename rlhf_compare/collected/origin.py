"""Where the model came from that all methods start from."""

from pathlib import Path
from typing import Any

from rlhf_compare.runs.files import read_json
from rlhf_compare.runs.identity import Stage
from rlhf_compare.runs.start_model import ORIGIN


def origin_of_start(sft: Stage) -> dict[str, Any] | None:
    """As ``Origin`` of the results' schema holds it; None for new weights of a configuration.

    Args:
        sft: its record holds the hash of a folder, or the commit of a hub id; of a single file the
            stage wrote down what is known.
    """
    file = sft.directory.path / ORIGIN
    if file.is_file():
        found: dict[str, Any] = read_json(file)
        return found
    record = sft.directory.record()
    named, hashed = record["recipe"]["model"], record["inputs"]["model"]
    if named.get("hub_id"):
        return _origin(named["hub_id"], None, hashed.get("commit"))
    if named.get("path"):
        content = hashed.get("path")
        sha256 = content.get("content") if isinstance(content, dict) else None
        return _origin(Path(named["path"]).name or named["path"], sha256, None)
    return None


def _origin(name: str, sha256: str | None, revision: str | None) -> dict[str, Any]:
    return {"name": name, "sha256": sha256, "licence": None, "revision": revision}
