"""The ``grpo:`` section: fields of ``trl.GRPOConfig``, but for what is not used here."""

from dataclasses import dataclass, field, fields

import trl

from rlhf_compare.runs.arguments import section_of

# tools, several rewards, printed answers, templates and other samplers than transformers' own
_UNUSED = {
    "chat_template_kwargs", "log_completions", "log_completions_hub_repo", "log_multimodal",
    "log_unique_prompts", "max_tool_calling_iterations", "multi_objective_aggregation",
    "num_completions_to_print", "reward_weights", "transformers_continuous_batching_config",
    "use_transformers_continuous_batching", "use_transformers_paged",
}  # fmt: skip
_UNUSED |= {f.name for f in fields(trl.GRPOConfig) if f.name.startswith(("vllm_", "use_vllm"))}


@dataclass
class GRPOConfig(trl.GRPOConfig):
    """TRL's fields under their own names."""

    beta: float = field(
        default=0.0,
        metadata={
            "help": "weight of the KL to the reference, PPO's kl_coef; 0 = TRL's default, no "
            "reference at all",
            "ge": 0,
        },
    )

    max_completion_length: int = field(
        default=256, metadata={"help": "tokens of a response at most", "gt": 0}
    )


GRPOSection = section_of(GRPOConfig, "GRPOSection", without=_UNUSED)
