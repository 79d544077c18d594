"""Fields of TRL 1.12's PPOConfig that have no effect here. They exist so that TRL's scripts and
commands parse."""

import math
from dataclasses import dataclass, field, fields
from typing import Any

from transformers import TrainingArguments

_HELP = {"help": "accepted for scripts of TRL 1.12; PPOTrainer does not read it"}
_SCRIPT = {"help": "for scripts as TRL 1.12's, which load their models from it"}


class Computed:
    """A number that TRL's config computes. A given value is stored but not used; reading the field
    computes the number."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, config: Any, owner: type | None = None) -> int | None:
        if config is None:
            return None  # the field's default
        local, processes = config.episodes_per_process, TrainingArguments.world_size.fget(config)
        if self.name == "world_size":
            return int(processes)
        if self.name == "num_total_batches":
            episodes = config.total_episodes
            return None if episodes is None else math.ceil(episodes / (local * processes))
        size = config.per_device_train_batch_size if "micro" in self.name else local
        if "mini" in self.name:
            size = size // config.num_mini_batches
        return int(size if self.name.startswith("local") else size * processes)

    def __set__(self, config: Any, value: int | None) -> None:
        config.__dict__[f"_given_{self.name}"] = value


@dataclass
class UnreadFields:
    """Mixed into PPOConfig; every field of its own is accepted and changes nothing."""

    dataset_num_proc: int | None = field(default=None, metadata=_SCRIPT)
    sft_model_path: str = field(default="EleutherAI/pythia-160m", metadata=_SCRIPT)
    reward_model_path: str = field(default="EleutherAI/pythia-160m", metadata=_SCRIPT)
    exp_name: str | None = field(default=None, metadata=_HELP)
    ds3_gather_for_generation: bool = field(default=True, metadata=_HELP)
    world_size: int | None = Computed()  # type: ignore[assignment]
    num_total_batches: int | None = Computed()  # type: ignore[assignment]
    micro_batch_size: int | None = Computed()  # type: ignore[assignment]
    local_batch_size: int | None = Computed()  # type: ignore[assignment]
    batch_size: int | None = Computed()  # type: ignore[assignment]
    local_mini_batch_size: int | None = Computed()  # type: ignore[assignment]
    mini_batch_size: int | None = Computed()  # type: ignore[assignment]

    def unread(self) -> list[str]:
        """The fields of this kind that were set to something."""
        given = []
        for part in fields(UnreadFields):
            noted = f"_given_{part.name}"
            value = self.__dict__[noted] if noted in self.__dict__ else getattr(self, part.name)
            if value != part.default:
                given.append(part.name)
        return given


UNREAD = frozenset(part.name for part in fields(UnreadFields))
