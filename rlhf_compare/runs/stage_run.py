"""What a tracker is told of a stage: its name, its settings, the id of its run."""

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from rlhf_compare.runs.arguments import effective_settings
from rlhf_compare.runs.code import section_of
from rlhf_compare.runs.files import read_json, write_json
from rlhf_compare.runs.provenance import commit

_RECORD = "wandb_run.json"  # beside the stage's files: a resumed stage goes on with its run


@dataclass(frozen=True, kw_only=True)
class StageRun:
    """What W&B is told of a stage.

    recipe      resolved
    stage       sft, reward, judge, ppo, dpo, or a variant's name
    seed        of this stage
    directory   of the stage; W&B's own folder lies beside it, one for all stages of a recipe
    """

    recipe: dict[str, Any]
    stage: str
    seed: int
    directory: Path

    @property
    def name(self) -> str:
        return f"{self.stage}-{self.seed}"

    @property
    def section(self) -> str:
        """The section of the recipe that the stage trains by; a variant's is its method's."""
        return section_of(self.recipe, self.stage)

    @property
    def given(self) -> dict[str, Any]:
        """What the recipe sets for this stage, a variant's own settings on top."""
        variant = self.recipe.get("variants", {}).get(self.stage, {})
        return {**self.recipe.get(self.section, {}), **variant.get("settings", {})}

    def config(self, args: TrainingArguments) -> dict[str, Any]:
        """What tells this run from others at the top, the whole recipe beneath.

        PPO's trainer sees one iteration as one step and its arguments say so; what the recipe gives
        wins, so that the numbers are those that a person wrote.
        """
        return {
            "method": self.stage,
            "base_method": self.section,
            "stage": self.stage,
            "seed": self.seed,
            "recipe_name": self.recipe.get("name"),
            "commit": commit(),
            self.section: {**effective_settings(args), **self.given},
            "recipe": self.recipe,
        }

    def run_id(self, fresh: bool = False) -> str:
        """Readable, and new for every stage that starts from nothing."""
        path = self.directory / _RECORD
        if not fresh and path.is_file():
            return str(read_json(path)["id"])
        return f"{self.recipe.get('name')}-{self.name}-{uuid.uuid4().hex[:8]}"

    def record(self, run_id: str) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        write_json(self.directory / _RECORD, {"id": run_id})

    @property
    def recorded(self) -> bool:
        return (self.directory / _RECORD).is_file()
