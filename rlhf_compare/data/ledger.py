"""What became of every row read: kept, or dropped for a named reason. The counts add up."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

REASONS = {
    "multi_turn": "a side has two or more human turns",
    "no_question": "the question is empty",
    "no_answer": "there is no answer, or it is empty",
    "roles_out_of_order": "the turns are not human, then assistant",
    "no_rejected": "the rejected side has no answer to the same question",
    "equal_sides": "chosen and rejected are the same text",
    "already_prefixed": "the answer starts with the marker already",
    "too_long": "prompt or pair is over the maximum length",
}


@dataclass
class Ledger:
    """Row counts. ``read == kept + sum(dropped.values())`` always."""

    read: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    train_pairs: int = 0
    eval_pairs: int = 0
    eval_prompts: int = 0

    def count(self, drops: Iterable[str | None]) -> None:
        """Enter the fate of every row: a reason code, or None for kept."""
        fates = Counter(drops)
        self.kept = fates.pop(None, 0)
        self.dropped = {reason: fates[reason] for reason in REASONS if fates[reason]}
        self.read = self.kept + sum(fates.values())
        assert not set(fates) - set(REASONS), f"unknown reasons {set(fates) - set(REASONS)}"

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    def summary(self) -> str:
        """Rows read and why they were dropped, in one line."""
        reasons = [f"{n} {reason} ({REASONS[reason]})" for reason, n in self.dropped.items()]
        return f"{self.read} rows read, {self.kept} kept, dropped: {', '.join(reasons) or 'none'}"

    def __str__(self) -> str:
        lines = [f"rows read {self.read}, kept {self.kept}"]
        lines += [
            f"  dropped {n}: {REASONS[reason]} ({reason})" for reason, n in self.dropped.items()
        ]
        lines.append(
            f"  train pairs {self.train_pairs}, eval pairs {self.eval_pairs} "
            f"({self.eval_prompts} different prompts)"
        )
        return "\n".join(lines)
