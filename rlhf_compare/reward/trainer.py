"""TRL's RewardTrainer on ranked responses: every response of a prompt goes through the model once,
and every pair of them counts (Ouyang et al. 2022, section 3.5)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors.torch import save_model
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import RewardTrainer

from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.policy import disable_dropout
from rlhf_compare.reward.config import RewardModelConfig
from rlhf_compare.reward.loss import RankedPairs, ranked_pairs, ranking_loss
from rlhf_compare.reward.ranked import RankedCollator
from rlhf_compare.runs.trainer import StageTrainer


class RankingTrainer(StageTrainer, RewardTrainer):
    """RewardTrainer for columns ``prompt_ids``, ``response_ids`` and ``scores``.

    A batch is counted in prompts. The loss is divided by the prompts of the whole optimizer step,
    so how a step is cut into batches changes nothing. Metrics carry TRL's names; accuracy and
    margin are means over prompts, and equal scores count as wrong.

    Attributes:
        forwards: responses that went through the model in training, each counted once a forward.
        pairs, ties: pairs that the loss counted, and pairs left out as equal.
        made: of those responses, the degenerate ones.
        tokens_trained: tokens of those responses and their prompts, padding not counted.
    """

    args: RewardModelConfig
    loss_is_scaled_for_ga = True  # by the prompts of the whole step, see _get_num_items_in_batch

    def __init__(self, *, args: RewardModelConfig, processing_class: Any, **kwargs: Any) -> None:
        if not isinstance(args, RewardModelConfig):
            raise TypeError(
                f"args: needs a RewardModelConfig, which has every field of trl.RewardConfig, got "
                f"{type(args).__name__}"
            )
        pad_id = processing_class.pad_token_id
        pad_id = processing_class.eos_token_id if pad_id is None else pad_id
        collator = RankedCollator(pad_id, args.max_responses, args.seed, args.degenerate)
        self._eval_collator = RankedCollator(pad_id)  # evaluation leaves no response out
        self.forwards = self.pairs = self.ties = self.made = 0
        super().__init__(
            args=args, processing_class=processing_class, data_collator=collator, **kwargs
        )
        if args.disable_dropout:
            # TRL's option switches dropout modules off, but not a dropout that is a number
            disable_dropout(self.model)

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset  # encoded by the data layer, the same for every stage

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["prompt_ids", "response_ids", "scores"]

    def get_eval_dataloader(self, *args: Any, **kwargs: Any) -> Any:
        training: RankedCollator = self.data_collator  # type: ignore[has-type]
        self.data_collator = self._eval_collator
        try:
            return super().get_eval_dataloader(*args, **kwargs)
        finally:
            self.data_collator = training

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> float:
        """Prompts with a pair in all batches of a step, per process: gradients are averaged."""
        prompts = sum(
            ranked_pairs(batch["groups"], batch["ranks"]).prompts for batch in batch_samples
        )
        counts = self.accelerator.gather(torch.tensor([float(prompts)], device=device))
        return float(counts.mean())

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: float | None = None,
    ) -> Any:
        """One forward of every response in the batch, one loss of all their pairs."""
        groups, ranks = inputs["groups"], inputs["ranks"]
        scores = self._scores(model, inputs["input_ids"], inputs["attention_mask"])
        loss = ranking_loss(
            scores,
            groups,
            ranks,
            margins=self.args.margins,
            label_smoothing=self.args.label_smoothing,
            centering=self.args.center_rewards_coefficient or 0.0,
            prompts=num_items_in_batch,
        )
        self._record(scores.detach(), ranked_pairs(groups, ranks), inputs)
        return (loss, {"logits": scores.unsqueeze(1)}) if return_outputs else loss

    def _scores(self, model: Any, ids: Tensor, mask: Tensor) -> Tensor:
        """(N, T) -> (N,), in parts of similar length if ``forward_batch_size`` is set. Answers to
        one prompt may differ tenfold in length, and padding costs as much as any token."""
        size = self.args.forward_batch_size or len(ids)
        lengths = mask.sum(1)
        order = lengths.argsort()
        parts = []
        for part in order.split(size):
            width = int(lengths[part].max())
            out = model(input_ids=ids[part, :width], attention_mask=mask[part, :width])
            parts.append(out.logits.squeeze(-1))
        return torch.cat(parts)[order.argsort()]

    def memory(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        values, tensors = super().memory()
        return {**values, "counts": [self.forwards, self.pairs, self.ties, self.made]}, tensors

    def remember(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        super().remember(values, tensors)
        self.forwards, self.pairs, self.ties, self.made = values["counts"]

    def epoch_begins(self, epoch: int, batches: int) -> None:
        self.data_collator.epoch_begins(epoch, batches)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the model as :func:`load_reward_model` reads it, with its tokenizer beside it. A
        checkpoint of the Trainer is read by this class alone and holds the weights under their own
        names."""
        self._for_checkpoint = _internal_call
        super().save_model(output_dir, _internal_call)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        model, directory = self.policy, Path(output_dir or self.args.output_dir)
        if not isinstance(model, ScalarHeadModel):
            super()._save(output_dir, state_dict)
            return
        directory.mkdir(parents=True, exist_ok=True)
        if self._for_checkpoint:
            save_model(model, str(directory / "model.safetensors"))
        else:
            model.save_pretrained(directory)
        self.processing_class.save_pretrained(directory)
        torch.save(self.args, directory / "training_args.bin")

    @property
    def tokens_trained(self) -> int:
        return int(self._total_train_tokens)

    def _record(self, scores: Tensor, pairs: RankedPairs, inputs: dict[str, Tensor]) -> None:
        """TRL's metrics; a value a prompt where a mean over prompts is meant."""
        mode = "train" if self.model.training else "eval"
        if mode == "train":
            tokens, made = (int(inputs[name].sum()) for name in ("attention_mask", "made"))
            counts = torch.tensor([len(scores), len(pairs.winners), pairs.ties, tokens, made])
            everywhere = self.accelerator.gather(counts.to(scores.device)).view(-1, 5).sum(0)
            forwards, compared, ties, tokens, made = everywhere.tolist()
            self.forwards += forwards
            self.pairs += compared
            self.ties += ties
            self.made += made
            self._total_train_tokens += tokens
        metrics = self._metrics[mode]
        metrics["num_tokens"] = [self._total_train_tokens]
        for name, value in (
            ("min_reward", scores.min()),
            ("mean_reward", scores.mean()),
            ("max_reward", scores.max()),
        ):
            metrics[name].append(float(self.accelerator.gather(value).float().mean()))
        ahead = scores[pairs.winners] - scores[pairs.losers]
        for name, values in (("accuracy", (ahead > 0).float()), ("margin", ahead.float())):
            metrics[name] += self.accelerator.gather_for_metrics(
                mean_by_prompt(values, pairs), use_gather_object=True
            )


def mean_by_prompt(values: Tensor, pairs: RankedPairs) -> list[float]:
    """Means of (M,) values over the pairs of each prompt that has any, in the prompts' order."""
    sums = torch.zeros(int(pairs.groups.max()) + 1 if len(values) else 0).to(values)
    sums.index_add_(0, pairs.groups, values / pairs.siblings)
    return sums[pairs.groups.unique()].tolist()


class EarlyStop(TrainerCallback):
    """Keeps the best weights by held-out accuracy and stops when they have not been bettered.

    Equal accuracies are ordered by the loss. The weights wait on the CPU, so no checkpoint of a
    whole model with its optimizer is written to be read once.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.history: list[dict[str, float]] = []
        self.best: int | None = None  # index into the history
        self._weights: dict[str, Tensor] = {}

    def memory(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """For a checkpoint: the evaluations, and the best weights."""
        return {"history": self.history, "best": self.best}, self._weights

    def remember(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Take back what :meth:`memory` gave."""
        self.history, self.best, self._weights = values["history"], values["best"], tensors

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        model: Any,
        **_: Any,
    ) -> None:
        self.history.append(
            {
                "epoch": float(state.epoch or 0.0),
                "accuracy": metrics["eval_accuracy"],
                "loss": metrics["eval_loss"],
            }
        )
        latest = len(self.history) - 1
        if self.best is None or _worth(self.history[latest]) > _worth(self.history[self.best]):
            self.best = latest
            self._weights = {name: p.detach().cpu().clone() for name, p in _trained(model)}
        elif latest - self.best >= self.patience:
            control.should_training_stop = True

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any,
        **_: Any,
    ) -> None:
        with torch.no_grad():
            for name, parameter in _trained(model):
                if name in self._weights:
                    parameter.copy_(self._weights[name])


def _worth(row: dict[str, float]) -> tuple[float, float]:
    return row["accuracy"], -row["loss"]


def _trained(model: Any) -> Sequence[tuple[str, Any]]:
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]
