"""Makes an untrained reward model from the SFT model, another model, or a configuration."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import LoraConfig
from transformers import AutoConfig, AutoModel

from rlhf_compare.errors import RecipeError, first_line
from rlhf_compare.models.adapters import new_reward_adapter
from rlhf_compare.models.fit import fit_tokenizer, float32_where_trained
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.policy import load_policy, open_model
from rlhf_compare.models.positions import text_limit
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.reward.config import RewardModelConfig


@dataclass(frozen=True)
class NewRewardModel:
    """An untrained reward model and the tokenizer it reads.

    own_tokenizer  whether that is another one than the policy's: the model then takes texts,
                   whose prompts were written for ``policy_tokenizer``
    """

    model: ScalarHeadModel
    tokenizer: Any
    own_tokenizer: bool = False
    policy_tokenizer: Any = None

    @property
    def max_length(self) -> int | None:
        """Tokens that the backbone has positions for; None = unknown."""
        return text_limit(self.model, self.tokenizer)


def new_reward_model(
    args: RewardModelConfig, tokenizer: Path, sft_model: Path | None, lora: LoraConfig | None
) -> NewRewardModel:
    """The untrained model that ``reward.backbone`` names; the head is drawn with torch's global
    generator.

    Adapters are for the SFT model alone: another backbone trains all its weights, because PPO keeps
    its adapters on the policy's base.

    Raises:
        RecipeError: nothing loadable is there, or the configuration is refused.
    """
    if args.backbone is None:
        assert sft_model is not None, "the pipeline trains SFT where no backbone is named"
        if lora is not None:
            base = load_policy(sft_model)
            model = new_reward_adapter(base, lora, args.pooling)
        else:
            model = ScalarHeadModel.on_backbone_of(sft_model, pooling=args.pooling)
        float32_where_trained(model)
        return NewRewardModel(model, load_tokenizer(sft_model))
    if isinstance(args.backbone, dict):
        ours = load_tokenizer(tokenizer)
        return NewRewardModel(
            ScalarHeadModel(_from_config(args.backbone, ours), pooling=args.pooling), ours
        )
    local = Path(args.backbone).is_dir()
    backbone = open_model(AutoModel, args.backbone, "reward.backbone", local=local)
    own = load_tokenizer(args.backbone, local=local)
    fit_tokenizer(own, backbone, args.backbone, "reward.backbone")
    model = ScalarHeadModel(backbone, pooling=args.pooling)
    float32_where_trained(model)
    return NewRewardModel(
        model, own, own_tokenizer=True, policy_tokenizer=load_tokenizer(tokenizer)
    )


def _from_config(values: dict[str, Any], tokenizer: Any) -> Any:
    fields = dict(values)
    try:
        config = AutoConfig.for_model(fields.pop("model_type"), **fields)
        config.vocab_size = max(len(tokenizer), *(i + 1 for i in tokenizer.get_vocab().values()))
        config.bos_token_id = config.eos_token_id = tokenizer.eos_token_id
        config.pad_token_id = tokenizer.pad_token_id
        return AutoModel.from_config(config)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise RecipeError(f"reward.backbone: {first_line(error)}") from error
