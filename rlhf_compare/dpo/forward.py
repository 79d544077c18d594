"""The forward of a pair, with the interface of TRL's fused head; computes only what the loss reads.

TRL's DPOTrainer calls ``model(..., labels=labels, fused_lm_head=True)`` and reads log-probabilities
per token. TRL 1.16 computes every prompt twice. Without Triton, so on a CPU, it also applies the
head to all positions, prompts and padding included, and computes the logits again for the gradient.
"""

import functools
import types
from typing import Any

import torch
from torch import Tensor
from trl.kernels.chunked_logprob import _use_triton
from trl.trainer.utils import FusedCausalLMOutput

from rlhf_compare.dpo.layout import PairLayout
from rlhf_compare.models.policy import has_plain_head, hidden_states
from rlhf_compare.models.tiles import heads_in_tiles, vocabulary_of
from rlhf_compare.models.wrapping import causal_lm
from rlhf_compare.tensors.logprobs import at_least_float32

_TEXT = {"input_ids", "attention_mask", "use_cache", "labels", "fused_lm_head"}
_ALONE = "logprobs_alone"
_WINDOWS = ("sliding_window", "attention_chunk_size", "window_size", "attention_window_size")


def use_pair_forward(model: Any) -> None:
    """Replace the fused head that TRL gave ``model``.

    TRL's head stays on a device with Triton, where it is faster, and for models that only it can
    compute: their logits are not the plain head of the hidden states, or they read more than text.

    Args:
        model: a causal language model or a PEFT model of one; batches are padded last.
    """
    lm: Any = causal_lm(model)
    if hasattr(lm.forward, "trl_forward") or _use_triton(lm.device) or not has_plain_head(lm):
        return
    trl_forward, shared = lm.forward.__func__, can_share_prompts(lm)

    @functools.wraps(type(lm).forward)  # `generate` checks its arguments against the signature
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        metrics = not kwargs.pop(_ALONE, False)
        # PEFT passes every argument, most of them None
        given = {name for name, value in kwargs.items() if value is not None}
        asked = kwargs.get("fused_lm_head") and "labels" in given
        if not asked or args or not _TEXT.issuperset(given):
            return trl_forward(self, *args, **kwargs)
        return pair_forward(self, kwargs["input_ids"], kwargs["labels"], shared, metrics)

    forward.trl_forward = trl_forward  # type: ignore[attr-defined]
    lm.forward = types.MethodType(forward, lm)


def logprobs_alone(model: Any) -> Any:
    """The model to call when no metrics are needed, as for a reference."""
    ours = hasattr(causal_lm(model).forward, "trl_forward")
    return functools.partial(model, **{_ALONE: True}) if ours else model


def pair_forward(
    lm: Any, input_ids: Tensor, labels: Tensor, shared: bool, metrics: bool = True
) -> FusedCausalLMOutput:
    """What TRL's head gives, (2N, W - 1) each, 0 where there is no label.

    Args:
        input_ids: (2N, W) chosen rows, then rejected rows, padded last.
        labels: (2N, W), -100 = none.
        shared: compute a prompt once for both its responses.
        metrics: False = log-probabilities alone.
    """
    mask = labels[:, 1:] != -100
    states, targets = _states(lm, input_ids, labels, shared), labels[:, 1:][mask]
    scored = heads_in_tiles(
        _score if metrics else _logprobs,
        targets,
        [states],
        [lm.get_output_embeddings()],
        vocabulary_of(lm),
    )
    names = ("log_probs", "entropy", "mean_logits", "is_top1")
    spread = {
        name: torch.zeros(mask.shape, dtype=column.dtype, device=mask.device).masked_scatter(
            mask, column
        )
        for name, column in zip(names, scored, strict=False)
    }
    return FusedCausalLMOutput(**spread, label_mask=mask)


def _states(lm: Any, input_ids: Tensor, labels: Tensor, shared: bool) -> Tensor:
    """The hidden state that predicts every label, row after row: (M, width)."""
    layout = PairLayout.of(input_ids, labels) if shared else None
    if layout is None:  # padding last: a causal model needs no mask for that
        return hidden_states(lm, input_ids)[:, :-1][labels[:, 1:] != -100]
    states: Tensor = lm.base_model(
        input_ids=layout.input_ids,
        position_ids=layout.position_ids,
        attention_mask=layout.attention_mask,
        use_cache=False,
    )[0]
    return states.flatten(0, 1).index_select(0, layout.predicted_by)


@torch.no_grad()
def can_share_prompts(lm: Any) -> bool:
    """Whether the model reads a pair in one row as it reads two rows.

    The model must use the given mask and the given ``position_ids``; recurrent layers and biases by
    distance do not. This is tested with a forward pass. A short test cannot show a window over the
    last tokens, which the model's own mask makes; models whose configuration has a window are
    excluded by that field.
    """
    config = lm.config.get_text_config()
    if any(getattr(config, name, None) is not None for name in _WINDOWS):
        return False
    ids = torch.tensor([[0, 1, 2, 3, 1, 2], [0, 1, 3, 0, 3, 1]], device=lm.device)
    other = torch.cat([torch.tensor([[0, 1, 3, 0, 2, 3]], device=lm.device), ids[1:]])
    labels = ids.masked_fill(torch.arange(6, device=lm.device) < 2, -100)
    try:
        together, apart = (_states(lm, ids, labels, shared) for shared in (True, False))
        beside_another = _states(lm, other, labels, True)
    except (TypeError, ValueError, RuntimeError):  # it takes no position_ids, or no such mask
        return False
    # exact comparison: a small leak between the responses can grow during training
    untouched = torch.equal(together[4:], beside_another[4:])
    return untouched and torch.allclose(together, apart, rtol=1e-3, atol=1e-3 * float(apart.std()))


def _score(targets: Tensor, logits: Tensor) -> tuple[Tensor, ...]:
    """log pi of M targets, (M,), with gradient; entropy, mean logit and whether the target is the
    most likely token, without."""
    logits, logp, target = _log_softmax(targets, logits)
    logprobs = logp.gather(-1, target).squeeze(-1)
    with torch.no_grad():
        entropy = -torch.linalg.vecdot(logp.exp(), logp)
        is_top1 = logits.gather(-1, target).squeeze(-1) >= logits.amax(-1)
        return logprobs, entropy, logits.mean(-1), is_top1


def _logprobs(targets: Tensor, logits: Tensor) -> tuple[Tensor]:
    _, logp, target = _log_softmax(targets, logits)
    return (logp.gather(-1, target).squeeze(-1),)


def _log_softmax(targets: Tensor, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    logits = at_least_float32(logits)
    return logits, torch.log_softmax(logits, dim=-1), targets.unsqueeze(-1)
