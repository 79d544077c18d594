"""Policy and value model as one module, so that one optimizer, one backward and one wrapper for
several processes serve both."""

from torch import Tensor, nn
from transformers import PreTrainedModel

from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.policy import response_logits


class PolicyAndValue(nn.Module):
    """``forward`` gives the policy's logits and the value before each response token."""

    def __init__(self, policy: PreTrainedModel, value_model: ScalarHeadModel) -> None:
        super().__init__()
        self.policy = policy
        self.value_model = value_model
        self.config = policy.config

    def forward(
        self, sequences: Tensor, mask: Tensor, response_length: int, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """(B, T) ids and mask to logits (B, R, V), over the temperature, and values (B, R)."""
        logits = response_logits(self.policy, sequences, mask, response_length, temperature)
        # the hidden state that predicts token t has not seen it: that is the state of value t
        values = self.value_model.token_values(sequences, mask)[:, -response_length - 1 : -1]
        return logits, values

    def gradient_checkpointing_enable(self, **kwargs: object) -> None:
        self.policy.gradient_checkpointing_enable(**kwargs)
        self.value_model.gradient_checkpointing_enable(**kwargs)

    def gradient_checkpointing_disable(self) -> None:
        self.policy.gradient_checkpointing_disable()
        self.value_model.gradient_checkpointing_disable()
