"""The ``grpo:`` section: fields of ``trl.GRPOConfig``, but for what is not used here."""

from dataclasses import dataclass, field, fields
from typing import Annotated

import trl
from annotated_types import Ge, Gt

from rlhf_compare.runs.arguments import section_of

# beginnings of fields that nothing here reads -> why
_UNUSED = {
    "use_vllm": "responses are sampled by transformers' generate",
    "vllm_": "responses are sampled by transformers' generate",
    "use_transformers_": "responses are sampled by transformers' generate",
    "transformers_": "responses are sampled by transformers' generate",
    "chat_template_kwargs": "prompts arrive encoded, see task.template",
    "max_tool_calling_iterations": "there are no tools",
    "multi_objective_aggregation": "there is one reward",
    "reward_weights": "there is one reward; beta weighs the KL against it",
    "log_completions": "the report shows answers",
    "log_multimodal": "the report shows answers",
    "log_unique_prompts": "the report shows answers",
    "num_completions_to_print": "the report shows answers",
}


@dataclass
class GRPOConfig(trl.GRPOConfig):
    """TRL's fields under their own names."""

    beta: Annotated[float, Ge(0)] = field(
        default=0.0,
        metadata={
            "help": "weight of the KL to the reference, PPO's kl_coef; 0 = TRL's default, no "
            "reference at all",
        },
    )
    max_completion_length: Annotated[int, Gt(0)] = field(
        default=256, metadata={"help": "tokens of a response at most"}
    )

    def __post_init__(self) -> None:
        for part in fields(trl.GRPOConfig):
            why = next((w for start, w in _UNUSED.items() if part.name.startswith(start)), None)
            value = getattr(self, part.name)
            if why is not None and value != part.default:
                raise ValueError(f"{part.name}: {value!r} is refused: {why}; leave it out")
        super().__post_init__()


GRPOSection = section_of(GRPOConfig, "GRPOSection")
