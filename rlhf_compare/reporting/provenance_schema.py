"""The part of results.json that says where the numbers come from."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from rlhf_compare.reporting.schema_types import Count, Part, Seconds, Text


def _different(seeds: list[int]) -> list[int]:
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"a seed stands twice in {seeds}")
    return seeds


def _iso_time(created: str) -> str:
    try:
        datetime.fromisoformat(created)
    except ValueError:
        raise ValueError(f"{created!r} is not an ISO 8601 time") from None
    return created


class Device(Part):
    """What the seconds were measured on, and by which clock."""

    kind: Literal["cpu", "cuda"]
    name: Text
    clock: Literal["wall", "cuda_events"]


class SourceReading(Part):
    """How one source was read: from which columns, and which were left; words: as a sentence."""

    name: Text
    format: Text
    columns: dict[Text, list[Text]]
    not_read: list[Text]
    words: Text


class Ledger(Part):
    """Where the rows of the data went. named: where the first rows of each reason stand.

    judge_rows: rows that teach the judge alone; parts: rows, prompts and groups (topics) of train,
    judge, and judging, probe, tuning of what is held out; feeds: rows that others than the judge
    may learn from, by kind.
    """

    read: Count
    kept: Count
    dropped: dict[Text, Count]
    named: dict[Text, list[Text]]
    train_rows: Count
    judge_rows: Count = 0
    eval_rows: Count
    eval_prompts: Count
    parts: dict[Text, dict[Text, Count]] = Field({})
    feeds: dict[str, Count]
    responses: dict[str, Count]
    pairs: Count
    ties: Count
    sources: list[SourceReading] = Field([])

    @property
    def unaccounted(self) -> int:
        """Rows read that were neither kept nor dropped for a stated reason."""
        return self.read - self.kept - sum(self.dropped.values())


class Learned(Part):
    """What a stage learned from, by its own count. unit: what an example is; at_hand: examples that
    it was given; used: of those, how many it came to; passes: through all of them; made: texts
    that it made from them and learned from besides."""

    unit: Text
    at_hand: Count
    used: Count
    passes: Annotated[float, Field(ge=0)]
    made: Count = Field(0)


class Origin(Part):
    """The model that SFT starts from, or that was given. name: of a file or folder, or a hub id;
    sha256: of the file, or of the folder's model files; licence and revision: as the authors name
    them; None = not known."""

    name: Text
    sha256: Text | None
    licence: Text | None
    revision: Text | None


class Maker(Part):
    """The code of one process. code: a digest of each part of the package that can change what the
    stage computes; None = not recorded."""

    commit: Text | None
    dirty: bool | None
    code: dict[Text, Text] | None
    versions: dict[Text, Text]


class StageCode(Maker):
    """What code made a stage, against the code that wrote the results. continued_by: other code
    that went on with the stage after an interruption."""

    continued_by: list[Maker]
    made_by_other_code: bool
    made_with_other_libraries: bool


class Provenance(Part):
    """Where the numbers come from; created: an ISO 8601 time; stages and learned: by
    the stages' directories' names.
    commit and versions are those of the SFT stage, dirty is of any stage. lost_to_interruptions:
    seconds by stage, in no cost. origin: None = new weights, or results of an older version."""

    commit: Text | None
    dirty: bool | None
    stages: dict[Text, StageCode] = Field({})
    lost_to_interruptions: dict[Text, Seconds] = Field({})
    created: Annotated[Text, AfterValidator(_iso_time)]
    command: Text
    versions: dict[Text, Text]
    device: Device
    seeds: Annotated[list[int], Field(min_length=1), AfterValidator(_different)]
    data_sha256: Text
    ledger: Ledger
    learned: dict[Text, Learned] = Field({})
    origin: Origin | None = None
    parameters: Count
