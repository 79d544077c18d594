"""What is said along the prefix, held against a world in which every response is listed."""

import pytest
import torch
from torch import Tensor

from rlhf_compare.evaluation.prefix import along_prefix, on_prefix
from rlhf_compare.models.policy import response_logits
from rlhf_compare.tensors.kl import exact_token_kl
from rlhf_compare.tensors.padding import pad_sequences
from rlhf_compare.theory import binary_kl
from rlhf_compare.world.enumerable import EnumerableWorld, response_logps
from rlhf_compare.world.optimum import kl

WORLD = EnumerableWorld()
POLICY, REFERENCE = WORLD.reference(1), WORLD.reference(0)


def prompts() -> tuple[Tensor, Tensor]:
    return pad_sequences(WORLD.prompts, WORLD.eos_id, "left")


def listed_parts(prefix: list[int]) -> tuple[Tensor, Tensor]:
    """KL on the prefix and off it, (N,) each: over every response there is, by its probability."""
    said = WORLD.responses
    probabilities = response_logps(WORLD, POLICY).exp()  # (N, Y)
    parts = []
    for row, prompt in enumerate(WORLD.prompts):
        start = torch.tensor(prompt).expand(len(said.ids), -1)
        ids = torch.cat([start, said.ids], 1)
        mask = torch.cat([torch.ones_like(start).bool(), said.mask], 1)
        length = said.ids.shape[1]
        logits = [response_logits(model, ids, mask, length) for model in (POLICY, REFERENCE)]
        token_kl = exact_token_kl(*logits).double() * said.mask
        style = on_prefix(said.ids, prefix) * token_kl
        parts.append(torch.stack([style.sum(1), (token_kl - style).sum(1)]) @ probabilities[row])
    style, content = torch.stack(parts, dim=1)
    return style, content


@torch.no_grad()
@pytest.mark.parametrize("prefix", [[0], [0, 1], [2, 2, 3]])
def test_style_is_the_mean_over_all_responses(prefix: list[int]) -> None:
    found = along_prefix(POLICY, REFERENCE, *prompts(), prefix, prefix)
    style, content = listed_parts(prefix)
    torch.testing.assert_close(torch.tensor(found.style).double(), style, rtol=1e-5, atol=1e-6)
    assert style.min() > 0.01
    whole = kl(response_logps(WORLD, POLICY), response_logps(WORLD, REFERENCE))
    torch.testing.assert_close(style + content, whole, rtol=1e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("marker", [[0], [0, 1]])
def test_no_prompt_is_below_its_floor(marker: list[int]) -> None:
    found = along_prefix(POLICY, REFERENCE, *prompts(), marker, [0, 1])
    for adopted, base, style in zip(found.adopted, found.base, found.style, strict=True):
        assert binary_kl(adopted, base) <= style + 1e-9


@torch.no_grad()
def test_a_marker_that_is_cut_otherwise_than_the_prefix_has_forwards_of_its_own() -> None:
    prefix, marker = [0, 1], [2]
    both = along_prefix(POLICY, REFERENCE, *prompts(), marker, prefix)
    alone = along_prefix(POLICY, REFERENCE, *prompts(), marker, marker)
    assert both.adopted == pytest.approx(alone.adopted, rel=1e-6)
    assert both.base == pytest.approx(alone.base, rel=1e-6)
    own = along_prefix(POLICY, REFERENCE, *prompts(), prefix, prefix)
    assert both.style == own.style


def test_on_prefix_ends_with_the_prefix_or_the_first_other_token() -> None:
    ids = torch.tensor([[5, 6, 7, 8], [5, 9, 7, 8], [1, 6, 7, 8], [5, 6, 9, 9]])
    assert on_prefix(ids, [5, 6, 7]).int().tolist() == [
        [1, 1, 1, 0],
        [1, 1, 0, 0],
        [1, 0, 0, 0],
        [1, 1, 1, 0],
    ]
    assert on_prefix(ids[:, :2], [5, 6, 7]).int().tolist() == [[1, 1]] * 2 + [[1, 0], [1, 1]]
