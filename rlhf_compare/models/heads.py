"""A backbone with one number on top. A reward model is read at one position of a sequence, a value
model at every position; both are the same module."""

import copy
import json
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForSequenceClassification, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

from rlhf_compare.errors import RecipeError, first_line
from rlhf_compare.tensors.padding import last_true, to_left

_HEAD_FILE, _HEAD_CONFIG = "scalar_head.safetensors", "scalar_head.json"

Pooling = Literal["last", "first", "mean"]


class ScalarHeadModel(nn.Module):
    """Backbone + linear layer on its hidden states.

    ``forward`` gives the score of each sequence, read where ``pooling`` says and always by mask:
    with pad = EOS the position of the last token cannot be found by id, and transformers' own GPT-2
    classifier then reads the token before EOS. ``token_values`` gives a number at every position.

    Args:
        pooling: ``last`` = the last real token (causal models: it alone has seen everything),
            ``first`` = the first (encoders such as BERT), ``mean`` = the mean over real tokens.

    Attributes:
        bias: subtracted from every score; centres the reward without touching the weights.
    """

    backbone: Any
    bias: Tensor

    def __init__(
        self,
        backbone: PreTrainedModel,
        init_std: float | None = None,
        pooling: Pooling = "last",
    ) -> None:
        super().__init__()
        self.backbone, self.pooling = backbone, pooling
        self.config = backbone.config
        self.config.num_labels = 1  # TRL's RewardTrainer needs it
        width = self.config.get_text_config().hidden_size
        self.head = nn.Linear(width, 1, bias=False, dtype=backbone.dtype, device=backbone.device)
        nn.init.normal_(self.head.weight, std=(width + 1) ** -0.5 if init_std is None else init_std)
        self.register_buffer("bias", torch.zeros((), dtype=torch.float32))
        # encoders cannot generate, have no cache and refuse the argument
        self._options = {"use_cache": False} if hasattr(self.config, "use_cache") else {}
        if getattr(backbone, "pooler", None) is not None:
            # BERT's pooler is not used: the head reads the hidden states
            backbone.pooler.requires_grad_(False)

    def token_values(self, input_ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """A number at every position, float32: (B, T) ids and mask -> (B, T).

        ``mask`` None: the padding is last and the backbone causal, so no mask is needed.
        Real tokens are moved to the left before the backbone sees them: there every architecture's
        own positions are right, whatever it counts from, and the result is moved back.
        """
        order = None if mask is None else to_left(mask)
        if mask is None or order is None:
            return self._values(input_ids, mask)
        values = self._values(input_ids.gather(1, order), mask.gather(1, order))
        return torch.zeros_like(values).scatter(1, order, values)

    def _values(self, input_ids: Tensor, mask: Tensor | None) -> Tensor:
        mask_kwargs = {} if mask is None else {"attention_mask": mask.long()}
        hidden = self.backbone(
            input_ids=input_ids, **mask_kwargs, **self._options
        ).last_hidden_state
        # a frozen trunk may be in half precision; the trained head is float32
        scores: Tensor = self.head(hidden.to(self.head.weight.dtype)).squeeze(-1).float()
        return scores - self.bias

    def scores(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """One score a sequence: (B, T) ids and mask -> (B,).

        Raises:
            ValueError: a row has no real token.
        """
        values, last = self.token_values(input_ids, mask), last_true(mask)
        if self.pooling == "mean":  # the head is linear: mean of values = value of the mean
            return torch.where(mask, values, 0.0).sum(1) / mask.sum(1)
        index = last if self.pooling == "last" else mask.long().argmax(1)
        return values.gather(1, index.unsqueeze(1)).squeeze(1)

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

    def save_pretrained(self, directory: str | Path, pad_token_id: int | None = None) -> None:
        """Write the backbone as transformers does, so that transformers can load it, and the head
        beside.

        Where the architecture has a sequence classifier with one linear layer on the last token
        (GPT-2, Llama, ...) and the head reads it too, the directory is that classifier:
        ``AutoModelForSequenceClassification`` gives equal scores (bias aside). It finds the last
        token by pad id; if that is the EOS id, it would read the token before EOS, so the saved
        configuration then has ``pad_token_id`` instead, with which batches must be padded. Where
        that is None too, single sequences score equal and batches are refused.
        """
        directory = Path(directory)
        (self._classifier(pad_token_id) or self.backbone).save_pretrained(directory)
        save_file({"weight": self.head.weight.detach().contiguous()}, directory / _HEAD_FILE)
        settings = {"bias": self.bias.item(), "pooling": self.pooling}
        (directory / _HEAD_CONFIG).write_text(json.dumps(settings) + "\n")

    def _classifier(self, pad_token_id: int | None) -> Any:
        """This model as a transformers sequence classifier sharing its weights, or None."""
        known = type(self.config) in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
        if self.pooling != "last" or not known or not isinstance(self.backbone, PreTrainedModel):
            return None
        config = copy.deepcopy(self.config)
        if config.pad_token_id == config.eos_token_id:
            config.pad_token_id = pad_token_id
        with torch.device("meta"):
            classifier = AutoModelForSequenceClassification.from_config(config)
        score = getattr(classifier, "score", None)
        if not isinstance(score, nn.Linear) or score.weight.shape != self.head.weight.shape:
            return None
        setattr(classifier, classifier.base_model_prefix, self.backbone)
        classifier.score = self.head
        return classifier

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
        settings = json.loads((directory / _HEAD_CONFIG).read_text())
        if settings["pooling"] not in get_args(Pooling):
            raise RecipeError(f"{directory}: pooling {settings['pooling']!r} is none we know")
        self.bias.fill_(settings["bias"])
        self.pooling = settings["pooling"]

    @classmethod
    def from_classifier(cls, model: Any) -> "ScalarHeadModel":
        """A transformers sequence classifier's backbone and head, shared, not copied; of a PEFT
        model of one, with its adapter.

        Raises:
            ValueError: the classifier has more than one label, or its own forward gives another
                score than its head on its last token.
        """
        return ClassifierHeadModel(model)

    @classmethod
    def on_backbone_of(
        cls, origin: str | Path, init_std: float | None = None, pooling: Pooling = "last"
    ) -> "ScalarHeadModel":
        """A new head on the backbone of a saved model, without its language-model head."""
        try:
            backbone = AutoModel.from_pretrained(str(origin), local_files_only=True)
        except (OSError, ValueError) as error:
            raise RecipeError(f"no model in {origin}: {first_line(error)}") from error
        return cls(backbone, init_std, pooling)


class ClassifierHeadModel(ScalarHeadModel):
    """A sequence classifier read as a scalar-head model; its weights keep the classifier's names.

    Args:
        model: a transformers sequence classifier with one label, or a PEFT model of one.
    """

    def __init__(self, model: Any) -> None:
        classifier = model.get_base_model() if isinstance(model, PeftModel) else model
        if classifier.config.num_labels != 1:
            labels = classifier.config.num_labels
            raise ValueError(f"a reward model has one label, this one {labels}")
        with torch.random.fork_rng():  # the head that is drawn here is replaced at once
            super().__init__(getattr(classifier, classifier.base_model_prefix))
        trunk = self._modules.pop("backbone")
        self._modules.pop("head")
        self._trunk = classifier.base_model_prefix
        self._modules[self._trunk], self._modules["score"] = trunk, classifier.score
        if isinstance(model, PeftModel):
            self._require_own_score(model)

    @property
    def backbone(self) -> Any:
        return self._modules[self._trunk]

    @property
    def head(self) -> Any:  # type: ignore[override]
        return self._modules["score" if "score" in self._modules else "head"]

    def _require_own_score(self, model: Any) -> None:
        """Score a few texts both ways, because an adapter may act outside the layers (learnt
        prompts)."""
        pad, words = self.config.pad_token_id, self.backbone.get_input_embeddings().weight.shape[0]
        texts = [(7 * i + 1) % words for i in range(64)]
        texts = [i for i in texts if i != pad][:48]
        ids = torch.tensor(texts, device=model.device).view(-1, 6)
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        with torch.no_grad():
            # a row at a time: without a pad token transformers' classifiers take no batch
            rows = [
                model(input_ids=row, attention_mask=torch.ones_like(row)) for row in ids[:, None]
            ]
            theirs = torch.cat([row.logits[:, 0] for row in rows]).float()
            ours = self.scores(ids, torch.ones_like(ids).bool())
        for module, training in modes:
            module.training = training
        room = max(1e-3, 8 * torch.finfo(self.backbone.dtype).eps)  # allows for rounding alone
        if not torch.allclose(ours, theirs, rtol=0.0, atol=room * float(theirs.abs().max())):
            raise ValueError(
                f"{type(model).__name__}: its own forward scores {float(theirs[0]):.4g} where its "
                f"adapted layers give {float(ours[0]):.4g}; merge the adapter, or give LoRA layers"
            )
