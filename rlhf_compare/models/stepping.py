"""Next-token logits for :func:`generate`: with a cache, or by reading the whole row again."""

import inspect
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from rlhf_compare.models.wrapping import causal_lm
from rlhf_compare.tensors.padding import attention_inputs, pad_sequences, positions, to_the_left

_PLAIN = (DynamicLayer, DynamicSlidingWindowLayer)
# model -> whether its cache can be used; model -> whether it ignores padding on the left
_trusted: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
_masks: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


class CachedSteps:
    """Reads every token once and keeps the model's cache of it.

    Args:
        prompt_ids, prompt_mask: (B, P), left-padded.
    """

    def __init__(self, policy: Any, prompt_ids: Tensor, prompt_mask: Tensor) -> None:
        self.policy, self.name = policy, _cache_name(policy)
        self.cache = DynamicCache(config=policy.config)
        self.ids, self.mask = prompt_ids, prompt_mask.long()
        self.places = positions(prompt_mask)
        # a mixture of experts would compare the mask of the whole row with the tokens of one step
        balancing = getattr(policy.config.get_text_config(), "output_router_logits", False)
        self.options = {"output_router_logits": False} if balancing else {}

    def logits(self) -> Tensor:
        """Logits of the next token of every row: (B, V)."""
        logits: Tensor = self.policy(
            input_ids=self.ids,
            attention_mask=self.mask,
            position_ids=self.places,
            **{str(self.name): self.cache},
            use_cache=True,
            logits_to_keep=1,
            **self.options,
        ).logits
        return logits[:, -1]

    def go_on(self, rows: Tensor, tokens: Tensor) -> None:
        """Keep only the rows ``rows`` (b,), and append to each its token of ``tokens`` (b,)."""
        if len(rows) < len(self.mask):
            # works for every kind of layer; batch_select_indices does not
            self.cache.reorder_cache(rows)
        self.ids, self.places = tokens.unsqueeze(1), self.places[rows, -1:] + 1
        self.mask = torch.cat([self.mask[rows], torch.ones_like(self.ids)], dim=1)


class WholeSteps:
    """Reads the whole row again for every token, with its padding last. That is slow, but right for
    every causal model, whatever kind of cache it has."""

    def __init__(self, policy: Any, prompt_ids: Tensor, prompt_mask: Tensor) -> None:
        self.policy = policy
        self.ids, self.mask = prompt_ids, prompt_mask

    def logits(self) -> Tensor:
        """Logits of the next token of every row: (B, V)."""
        ids, mask = to_the_left(self.ids, self.mask)
        logits: Tensor = self.policy(input_ids=ids, use_cache=False).logits
        last = mask.sum(1) - 1
        return logits[torch.arange(len(ids), device=ids.device), last]

    def go_on(self, rows: Tensor, tokens: Tensor) -> None:
        """See :meth:`CachedSteps.go_on`."""
        ids = tokens.unsqueeze(1)
        self.ids = torch.cat([self.ids[rows], ids], dim=1)
        self.mask = torch.cat([self.mask[rows], torch.ones_like(ids, dtype=torch.bool)], dim=1)


Steps = CachedSteps | WholeSteps


def steps_of(policy: Any, prompt_ids: Tensor, prompt_mask: Tensor) -> Steps:
    """The faster way that is right for ``policy``, which is in eval mode."""
    kind = CachedSteps if _cache_is_right(policy) else WholeSteps
    return kind(policy, prompt_ids, prompt_mask)


def reads_left_padding(model: Any) -> bool:
    """Whether ``model`` reads a row with padding on its left rightly, given a mask and positions.
    Plain attention does. A recurrent state may run through the padding, so a model that has one is
    tested once, with a forward pass."""
    lm = causal_lm(model)
    if lm not in _masks:
        _masks[lm] = _is_plain(model) or _reads_left(model)
    return _masks[lm]


@torch.no_grad()
def _reads_left(model: Any) -> bool:
    was_training = model.training
    model.eval()
    rows = len(model.get_input_embeddings().weight)
    prompts = [[(3 * i + n) % rows for i in range(n)] for n in (7, 3)]
    ids, mask = (t.to(model.device) for t in pad_sequences(prompts, 0, "left"))
    try:
        padded = model(input_ids=ids, use_cache=False, **attention_inputs(mask)).logits[1, -3:]
        alone = model(input_ids=ids[1:, -3:], use_cache=False).logits[0]
    except Exception:  # the model takes no mask, or no positions
        return False
    finally:
        model.train(was_training)
    return _close(padded, alone, model.dtype)


def _close(given: Tensor, sure: Tensor, dtype: torch.dtype) -> bool:
    """Equal up to rounding; the tolerance is larger in half precision."""
    room = 0.2 if dtype in (torch.float16, torch.bfloat16) else 1e-2
    given, sure = given.float(), sure.float()
    return bool(((given - sure).abs() <= room * sure.std()).all())


def _cache_name(policy: Any) -> str | None:
    """The name of the model's cache argument; Mamba's differs from that of most models."""
    parameters = inspect.signature(type(causal_lm(policy)).forward).parameters
    names = ("past_key_values", "cache_params")
    return next((name for name in names if name in parameters), None)


def _cache_is_right(policy: Any) -> bool:
    """Whether padding on the left, and rows that leave, change nothing for the rows that stay.

    This holds for plain attention. Recurrent and compressed states differ between architectures, so
    a model that has any is tested once, with a few steps.
    """
    lm = causal_lm(policy)
    if lm not in _trusted:
        _trusted[lm] = _is_plain(policy) or _agrees(policy)
    return _trusted[lm]


def _is_plain(policy: Any) -> bool:
    try:
        layers = DynamicCache(config=policy.config).layers
    except Exception:  # no cache can be made for this configuration
        return False
    plain = all(type(layer) in _PLAIN for layer in layers)
    return plain and _cache_name(policy) == "past_key_values"


@torch.no_grad()
def _agrees(policy: Any) -> bool:
    """Whether both ways give the same logits for three tokens after prompts of unequal length,
    where one row leaves after the first token."""
    device, rows = policy.device, len(policy.get_input_embeddings().weight)
    prompts = [[(3 * i + n) % rows for i in range(n)] for n in (7, 1, 4)]
    ids, mask = (t.to(device) for t in pad_sequences(prompts, 0, "left"))
    try:
        ways = CachedSteps(policy, ids, mask), WholeSteps(policy, ids, mask)
        for kept in ([1, 2], [0, 1], [0, 1]):
            fast, sure = (way.logits() for way in ways)
            if not _close(fast, sure, policy.dtype):
                return False
            index = torch.tensor(kept, device=device)
            for way in ways:
                way.go_on(index, sure[index].argmax(-1))
    except Exception:  # the model has its own kind of cache, or other arguments
        return False
    return True
