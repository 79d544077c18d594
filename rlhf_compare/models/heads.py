"""A backbone with one number on top: reward model (one score a sequence) and value model (one
value a token) are the same module, read differently."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from rlhf_compare.errors import RecipeError
from rlhf_compare.models.tokenizer import first_line
from rlhf_compare.tensors.padding import attention_inputs, last_true

_HEAD_FILE, _HEAD_CONFIG = "scalar_head.safetensors", "scalar_head.json"


class ScalarHeadModel(nn.Module):
    """Backbone + linear layer on its hidden states.

    ``forward`` gives the score of each sequence, read at its last real token by mask: with
    pad = EOS the place of the last token cannot be told from ids, and transformers' own GPT-2
    classifier then reads the token before EOS. ``token_values`` gives a number at every position.

    Attributes:
        bias: subtracted from every score; centres the reward without touching the weights.
    """

    backbone: Any
    bias: Tensor

    def __init__(self, backbone: PreTrainedModel, init_std: float | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = backbone.config
        self.config.num_labels = 1  # what TRL's RewardTrainer asks for
        width = self.config.get_text_config().hidden_size
        self.head = nn.Linear(width, 1, bias=False, dtype=backbone.dtype, device=backbone.device)
        nn.init.normal_(self.head.weight, std=(width + 1) ** -0.5 if init_std is None else init_std)
        self.register_buffer("bias", torch.zeros((), dtype=torch.float32))

    def token_values(self, input_ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """A number at every position, float32: (B, T) ids and mask -> (B, T).

        ``mask`` None: the padding is last and the backbone causal, so no mask is needed.
        """
        padded = {} if mask is None else attention_inputs(mask)
        hidden = self.backbone(input_ids=input_ids, use_cache=False, **padded).last_hidden_state
        return self.head(hidden).squeeze(-1).float() - self.bias

    def scores(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """One score a sequence, at its last real token: (B, T) -> (B,)."""
        values = self.token_values(input_ids, mask)
        return values.gather(1, last_true(mask).unsqueeze(1)).squeeze(1)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, use_cache: bool = False
    ) -> SequenceClassifierOutput:
        """The call that ``trl.RewardTrainer`` makes: logits (B, 1)."""
        return SequenceClassifierOutput(
            logits=self.scores(input_ids, attention_mask.bool()).unsqueeze(1)
        )

    # --- the part of PreTrainedModel's surface that trainers use

    def add_model_tags(self, tags: list[str] | str) -> None:
        self.backbone.add_model_tags(tags)

    def gradient_checkpointing_enable(self, **kwargs: object) -> None:
        self.backbone.gradient_checkpointing_enable(**kwargs)

    def gradient_checkpointing_disable(self) -> None:
        self.backbone.gradient_checkpointing_disable()

    # --- disk

    def save_pretrained(self, directory: str | Path) -> None:
        """Write the backbone as transformers does, so that it loads there, and the head beside."""
        directory = Path(directory)
        self.backbone.save_pretrained(directory)
        save_file({"weight": self.head.weight.detach().contiguous()}, directory / _HEAD_FILE)
        (directory / _HEAD_CONFIG).write_text(json.dumps({"bias": self.bias.item()}) + "\n")

    @classmethod
    def from_pretrained(cls, directory: str | Path) -> "ScalarHeadModel":
        """Load what ``save_pretrained`` wrote.

        Raises:
            RecipeError: the directory holds no such model.
        """
        directory = Path(directory)
        if not (directory / _HEAD_FILE).is_file():
            raise RecipeError(f"{directory}: no reward model there ({_HEAD_FILE} is missing)")
        model = cls.on_backbone_of(directory)
        model.load_head(directory)
        return model

    def load_head(self, directory: Path) -> None:
        """Read the head, and only the head, from a directory."""
        self.head.load_state_dict(load_file(directory / _HEAD_FILE))
        self.bias.fill_(json.loads((directory / _HEAD_CONFIG).read_text())["bias"])

    @classmethod
    def from_classifier(cls, model: Any) -> "ScalarHeadModel":
        """A transformers sequence classifier's backbone and head, shared, not copied.

        Raises:
            ValueError: the classifier has more than one label.
        """
        if model.config.num_labels != 1:
            raise ValueError(f"a reward model has one label, this one {model.config.num_labels}")
        scalar = cls(getattr(model, model.base_model_prefix))
        scalar.head = model.score
        return scalar

    @classmethod
    def on_backbone_of(cls, origin: str | Path, init_std: float | None = None) -> "ScalarHeadModel":
        """A new head on the backbone of a saved model, its language-model head left behind."""
        try:
            backbone = AutoModel.from_pretrained(str(origin), local_files_only=True)
        except (OSError, ValueError) as error:
            raise RecipeError(f"no model in {origin}: {first_line(error)}") from error
        return cls(backbone, init_std)
