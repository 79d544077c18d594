"""From a raw row to the columns that everything else reads, or to the reason why it is dropped.

Pure and total: whatever the row, it is kept or dropped for a named reason, and nothing is raised.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlhf_compare.data.config import DataConfig, SourceConfig, TaskConfig
from rlhf_compare.data.formats import Example, Layout, Row, parse_row
from rlhf_compare.data.hashing import hash_64
from rlhf_compare.data.reasons import RowDropError
from rlhf_compare.data.splits import normalise, split_hash
from rlhf_compare.data.tables import CELLS_OFF
from rlhf_compare.data.tasks import rank, render_prompt

_EXCERPT = 160  # characters of a dropped row that the report shows


@dataclass(frozen=True)
class ParseSettings:
    """What decides, beside the row, how it is parsed and what it is used for."""

    layout: Layout
    feeds: tuple[str, ...]
    keep_multi_turn: bool
    task: TaskConfig
    tokenizer: Any = None  # only with task.chat_template

    @classmethod
    def of(
        cls, data: DataConfig, source: SourceConfig, layout: Layout, task: TaskConfig, tok: Any
    ) -> "ParseSettings":
        multi_turn = data.multi_turn == "last"
        return cls(layout, source.feeds, multi_turn, task, tok if task.chat_template else None)


def parse_row_or_reason(raw: bytes | Row, settings: ParseSettings) -> dict[str, Any]:
    """The columns of a row that is kept, or of one that is dropped.

    reason      a key of ``REASONS``; empty = kept
    detail      what is wrong with this row; excerpt: its beginning (both empty where kept)
    prompt, responses, scores, demonstration, feeds    as in ``Ranked``
    key         hash of the group, which decides its side; rows with one key never part
    prompt_key  hash of the normalised prompt; loose_key: of its letters and digits alone
    content     hash of all that was read; equal = duplicate
    """
    try:
        example = parse_row(parse_json(raw), settings.layout, settings.keep_multi_turn)
        prompt = render_prompt(example.turns, settings.task, settings.tokenizer)
        ranked = rank(example, settings.task, prompt)
        feeds = [kind for kind in ranked.feeds if kind in settings.feeds]
        if not feeds:
            enough = ", ".join(ranked.feeds)
            raise RowDropError("feeds_nothing", f"is enough for {enough}")
    except RowDropError as drop:
        return dropped(drop.reason, drop.detail, raw)
    return {
        "reason": "",
        "detail": "",
        "excerpt": "",
        "prompt": ranked.prompt,
        "responses": list(ranked.responses),
        "scores": list(ranked.scores),
        "demonstration": ranked.demonstration,
        "feeds": feeds,
        "key": split_hash(_group_of(example)),
        "prompt_key": key_of(prompt),
        "loose_key": hash_64("".join(filter(str.isalnum, normalise(prompt)))),
        "content": hash_64(repr((example.turns, example.responses, example.scores, feeds))),
    }


def dropped(reason: str, detail: str, raw: bytes | Row) -> dict[str, Any]:
    """The columns of a row that is dropped."""
    text = raw[: 4 * _EXCERPT].decode(errors="replace") if isinstance(raw, bytes) else repr(raw)
    excerpt = text[:_EXCERPT].encode(errors="replace").decode().replace("\0", "\\0")
    detail = detail.encode(errors="backslashreplace").decode().replace("\0", "\\0")
    texts = {"prompt": "", "responses": [], "scores": [], "demonstration": "", "feeds": []}
    keys = dict.fromkeys(("key", "prompt_key", "loose_key", "content"), 0)
    return {"reason": reason, "detail": detail, "excerpt": excerpt, **texts, **keys}


def key_of(prompt: str) -> int:
    """Hash by which two prompts are the same: case and white space do not count."""
    return hash_64(normalise(prompt))


def parse_json(raw: bytes | Row) -> Row:
    """The fields of a line; a row that has fields already passes.

    Raises:
        RowDropError: the bytes are no UTF-8, no JSON, or no object.
    """
    if isinstance(raw, Mapping):
        return raw
    try:
        row = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RowDropError("invalid_utf8", f"byte {error.start + 1}: {error.reason}") from error
    except json.JSONDecodeError as error:
        raise RowDropError("invalid_json", f"column {error.colno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, deep nesting
        raise RowDropError("invalid_json", str(error).split(";")[0][:120]) from error
    if not isinstance(row, dict):
        raise RowDropError("not_an_object", f"it is {type(row).__name__}")
    if CELLS_OFF in row:
        off = int(row[CELLS_OFF])
        reason = "extra_cells" if off > 0 else "missing_cells"
        raise RowDropError(reason, f"{abs(off)} {'more' if off > 0 else 'fewer'}")
    return row


def _group_of(example: Example) -> str:
    """A topic, or the first user turn: cuts of one conversation stay on one side, since the longer
    ones hold the answers of the shorter ones."""
    return example.group or next(text for role, text in example.turns if role == "user")
