"""What became of every row read: kept, or dropped for a named reason. The counts add up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from datasets import Dataset

from rlhf_compare.data.config import FEEDS
from rlhf_compare.data.reasons import FAULT_LIMIT, FAULTS, REASONS, WAYS_OUT
from rlhf_compare.errors import DataError

EXAMPLES, NAMED = 3, 20  # of each reason: rows shown with their text, rows that are named
_NEARLY_ALL = 0.9  # of the rows failing in one way: that is the format, not the rows
_SHOWN = 100  # characters of a row in a message


@dataclass(frozen=True)
class DroppedRow:
    """A row that was dropped: where it stands, what is wrong with it, how it begins."""

    where: str  # for instance "line 7"; with several sources "rows.jsonl, line 7"
    detail: str = ""
    excerpt: str = ""


@dataclass
class Ledger:
    """Row counts. ``read == kept + sum(dropped.values())`` always."""

    read: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    train_rows: int = 0  # that every stage but the judge may learn from
    judge_rows: int = 0  # that teach the judge alone
    eval_rows: int = 0
    eval_prompts: int = 0  # different ones
    # of train, judge, and judging, probe, tuning of what is held out: rows, different prompts, and
    # groups that stay together
    parts: dict[str, dict[str, int]] = field(default_factory=dict)
    # rows to train on that feed each kind
    feeds: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FEEDS, 0))
    # of the rows kept: read == kept + too_long
    responses: dict[str, int] = field(default_factory=lambda: {"read": 0, "kept": 0, "too_long": 0})
    pairs: int = 0  # of two responses to one prompt that were scored differently
    ties: int = 0  # of two that were scored alike: they rank nothing
    first_dropped: dict[str, list[DroppedRow]] = field(default_factory=dict)
    # of each source: its name, format, columns (role -> names), not_read, and all that in words
    sources: list[dict[str, Any]] = field(default_factory=list)

    @property
    def kept(self) -> int:
        return self.read - sum(self.dropped.values())

    def drop(self, reason: str, count: int, rows: Iterable[DroppedRow]) -> None:
        """Enter ``count`` rows dropped for a reason, the first of them by name."""
        assert reason in REASONS, f"unknown reason {reason}"
        if count == 0:
            return
        entered = {**self.dropped, reason: self.dropped.get(reason, 0) + count}
        self.dropped = {name: entered[name] for name in REASONS if name in entered}
        known = self.first_dropped.setdefault(reason, [])
        known.extend(rows)
        del known[NAMED:]

    def count(self, rows: Dataset, side: str, before: Dataset) -> None:
        """Enter rows of a side (train, judge or eval) that are written.

        Args:
            before: the same rows with the responses that were too long.
        """
        if side == "train":
            self.train_rows += len(rows)
            for kind in chain.from_iterable(rows["feeds"]):
                self.feeds[kind] += 1
        elif side == "judge":
            self.judge_rows += len(rows)
        else:
            self.eval_rows += len(rows)
        for scores, unfitted in zip(rows["scores"], before["scores"], strict=True):
            k = len(scores)
            tied = [scores.count(score) for score in set(scores)]
            ties = sum(n * (n - 1) // 2 for n in tied)
            self.ties += ties
            self.pairs += k * (k - 1) // 2 - ties
            self.responses["kept"] += k
            self.responses["too_long"] += len(unfitted) - k
            self.responses["read"] += len(unfitted)

    def check_limits(self, limits: dict[str, float], source: str) -> None:
        """Stop a run that loses more rows than it should.

        Raises:
            DataError: names the limit, the counts, and the first row of each reason.
        """
        for name, limit in limits.items():
            lost = {
                r: n
                for r, n in self.dropped.items()
                if r == name or (name == FAULT_LIMIT and r in FAULTS)
            }
            count = sum(lost.values())
            if self.read and count / self.read > limit:
                self._check_format(lost, source)
                first = "; ".join(f"{n} {r}, first {self._first(r)}" for r, n in lost.items())
                raise DataError(
                    f"{source}: {count} of {self.read} rows dropped for {name} "
                    f"({count / self.read:.1%}, data.max_dropped_share allows {limit:.1%}): "
                    f"{first}; mend the rows, or raise data.max_dropped_share"
                )

    def _check_format(self, lost: dict[str, int], source: str) -> None:
        """Where nearly all rows fail in one way, the format is wrong and no row is to be mended.

        Raises:
            DataError: says how the rows were read, and shows one.
        """
        reason, count = max(lost.items(), key=lambda pair: pair[1])
        if reason not in FAULTS or count < _NEARLY_ALL * self.read:
            return
        first = self.first_dropped[reason][0]
        row = " ".join(first.excerpt.split())
        shown = f"; the row: {row[:_SHOWN]}{' ...' if len(row) > _SHOWN else ''}" if row else ""
        raise DataError(
            f"{source}: {count} of {self.read} rows fail in one way, {reason} "
            f"({REASONS[reason]}), so the format may be another: "
            f"{'; '.join(entry['words'] for entry in self.sources)}; first "
            f"{self._first(reason)}{shown}; say what the columns are in data.columns, or name the "
            "format in data.format"
        )

    def _first(self, reason: str) -> str:
        first = self.first_dropped[reason][0]
        return f"in {first.where}: {first.detail or REASONS[reason]}"

    def as_dict(self) -> dict[str, Any]:
        """For the results: counts, and where the first rows of each reason stand."""
        return {
            "read": self.read,
            "kept": self.kept,
            "dropped": self.dropped,
            "train_rows": self.train_rows,
            "judge_rows": self.judge_rows,
            "eval_rows": self.eval_rows,
            "eval_prompts": self.eval_prompts,
            "parts": self.parts,
            "feeds": self.feeds,
            "responses": self.responses,
            "pairs": self.pairs,
            "ties": self.ties,
            "sources": self.sources,
            "named": {
                r: [row.where for row in self.first_dropped.get(r, [])] for r in self.dropped
            },
        }

    def reasons(self) -> list[dict[str, Any]]:
        """For the data report: every reason in words, with its examples."""
        return [
            {
                "reason": reason,
                "words": REASONS[reason],
                "fault": reason in FAULTS,
                "count": count,
                "named": [row.where for row in self.first_dropped[reason]],
                "examples": [vars(row) for row in self.first_dropped[reason][:EXAMPLES]],
            }
            for reason, count in self.dropped.items()
        ]

    def summary(self) -> str:
        """Rows read and why they were dropped, in one line."""
        reasons = [f"{n} {reason} ({REASONS[reason]})" for reason, n in self.dropped.items()]
        text = f"{self.read} rows read, {self.kept} kept, dropped: {', '.join(reasons) or 'none'}"
        return "; ".join([text, *(WAYS_OUT[r] for r in self.dropped if r in WAYS_OUT)])

    def __str__(self) -> str:
        lines = [f"{entry['name']}: {entry['words']}" for entry in self.sources]
        lines += [f"rows read {self.read}, kept {self.kept}"]
        lines += [
            f"  dropped {n}: {REASONS[reason]} ({reason})" for reason, n in self.dropped.items()
        ]
        return "\n".join([*lines, *(f"  {line}" for line in kept_lines(self.as_dict()))])


def kept_lines(counts: Mapping[str, Any]) -> list[str]:
    """What the rows kept are, in words.

    Args:
        counts: as :meth:`Ledger.as_dict` gives them.
    """
    responses = counts["responses"]
    return [
        f"train rows {counts['train_rows']}, judge rows {counts['judge_rows']}, "
        f"eval rows {counts['eval_rows']} "
        f"({counts['eval_prompts']} different prompts)",
        "; ".join(f"{name}: {_part(sizes)}" for name, sizes in counts["parts"].items()),
        f"responses {responses['kept']} (left out as too long: {responses['too_long']}), "
        f"pairs {counts['pairs']}, ties {counts['ties']}",
        f"rows to train on: {', '.join(f'{kind} {n}' for kind, n in counts['feeds'].items())}",
    ]


def _part(sizes: Mapping[str, int]) -> str:
    return f"{sizes['prompts']} prompts in {sizes['groups']} groups"
