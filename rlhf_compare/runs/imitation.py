"""TRL's SFTTrainer on our token ids: the loss counts the response alone, EOS included."""

from typing import Any

from trl import SFTTrainer

from rlhf_compare.runs.trainer import StageTrainer


class MeteredSFTTrainer(StageTrainer, SFTTrainer):
    """SFTTrainer with the layer that all stages share; counts tokens as it trains on them."""

    def compute_loss(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        before = self._total_train_tokens
        loss = super().compute_loss(model, *args, **kwargs)
        self.meter.count(trained=int(self._total_train_tokens - before))
        return loss

    def samples_in(self, inputs: Any) -> int:
        """Demonstrations."""
        return len(inputs["input_ids"])
