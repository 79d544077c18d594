"""A fifth question: where does the mass go that plain DPO takes from the rejected responses?

The world is the prefix task's: the chosen response is a marker and the answer, the rejected one the
answer alone, and labels never err. DPO's loss (Rafailov et al. 2023, equation 7) sees the margin
between the two log-ratios and nothing else. The margin may grow because the rejected response
falls; the mass that it loses may go to responses that no pair shows (Pal et al. 2024; Razin et al.
2025, "Unintentional Unalignment"; Xu et al. 2024, section 4), and once the margin is large the
loss asks for ever less. The KL-regularised optimum has no such freedom.

Dimensions: N prompts, one pair each; Y responses (all that there are); C contexts (a prefix of a
response); V tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from datasets import Dataset
from torch import Tensor

from rlhf_compare.models.policy import response_logits
from rlhf_compare.tensors.masked import masked_sum
from rlhf_compare.tensors.padding import pad_sequences
from rlhf_compare.world.enumerable import EnumerableWorld, response_logps
from rlhf_compare.world.names import DPO_NAME, PPO_NAME
from rlhf_compare.world.optimum import expectation, frontier, kl, reward_at
from rlhf_compare.world.training import Progress, train_dpo, train_ppo

_MARKER = 0  # the token that the chosen responses open with
TABLE = "table"  # a policy whose contexts share nothing: one logit a prompt, prefix and token
BETAS = (3.0, 1.0, 0.3, 0.1)
LEARNING_RATES = {DPO_NAME: (1e-3, 3e-3), TABLE: (0.1, 0.3)}
UPDATES = 80  # each sees every pair
PPO_SETTINGS: dict[str, Any] = {"per_device_train_batch_size": 128, "max_steps": 30}
STEPS = len(BETAS) * len(LEARNING_RATES[DPO_NAME]) * UPDATES + PPO_SETTINGS["max_steps"]
SETTINGS = {
    "betas": list(BETAS),
    "learning_rates": {name: list(rates) for name, rates in LEARNING_RATES.items()},
    "updates": UPDATES,
    "ppo": PPO_SETTINGS,
}
_FORGET = 20.0  # nats that the policy which only forgets takes from each rejected response
_FRONTIER = tuple(2.0 ** (k / 4) for k in range(-16, 9))


def _opens(prompt: Sequence[int], response: Sequence[int]) -> float:
    return float(response[0] == _MARKER)


def marked_world() -> EnumerableWorld:
    """8 prompts with 820 responses each; 1 is paid for a response that opens with the marker.

    Its beta is PPO's: the optimum for it adopts nearly always.
    """
    prompts = tuple((1 + i, 1 + (3 * i + 2) % 8) for i in range(8))
    return EnumerableWorld(
        prompts=prompts, vocabulary="mabcdefgh", max_length=3, reward=_opens, beta=0.1
    )


@dataclass(frozen=True)
class Pairs:
    """One pair a prompt: places (N,) of the chosen and the rejected response among all."""

    chosen: Tensor
    rejected: Tensor

    def rows(self, world: EnumerableWorld) -> Dataset:
        """As DPO's trainer takes them."""
        said = world.responses.to_lists()
        return Dataset.from_dict(
            {
                "prompt_ids": [list(prompt) for prompt in world.prompts],
                "chosen_ids": [said[place] for place in self.chosen],
                "rejected_ids": [said[place] for place in self.rejected],
            }
        )


def marked_pairs(world: EnumerableWorld, ref: Tensor, seed: int) -> Pairs:
    """(marker + answer, answer); each prompt's answer, one token and EOS, is drawn from the
    reference (N, Y)."""
    said = [tuple(response) for response in world.responses.to_lists()]
    places = {response: place for place, response in enumerate(said)}
    answers = torch.tensor(
        [places[letter, world.eos_id] for letter in range(world.eos_id) if letter != _MARKER]
    )
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.multinomial(ref[:, answers].exp(), 1, generator=generator).squeeze(1)
    rejected = answers[drawn]
    return Pairs(torch.tensor([places[(_MARKER, *said[place])] for place in rejected]), rejected)


def displaced(seed: int, progress: Progress) -> dict[str, Any]:
    """Every run in the marked world whose reference has the weights of ``seed``.

    Args:
        progress: called with 1, ``STEPS`` times.
    """
    world = marked_world()
    model = world.reference(seed)
    ref = response_logps(world, model)
    pairs = marked_pairs(world, ref, seed)
    rows = pairs.rows(world)
    ppo = train_ppo(world, seed, progress, visits=1, **PPO_SETTINGS)[-1].logps

    def run(policy: str, rate: float, beta: float, logps: Tensor) -> dict[str, Any]:
        setting = {"policy": policy, "learning_rate": rate, "beta": beta}
        return {**setting, **where(logps, ref, pairs, world, beta)}

    runs = []
    for rate, beta in product(LEARNING_RATES[DPO_NAME], BETAS):
        settings = {
            "learning_rate": rate,
            "max_steps": UPDATES,
            "per_device_train_batch_size": len(rows),
        }
        of_beta = replace(world, beta=beta)
        visits = train_dpo(of_beta, seed, rows, progress, visits=1, **settings)
        runs.append(run(DPO_NAME, rate, beta, visits[-1].logps))
    for rate, beta in product(LEARNING_RATES[TABLE], BETAS):
        logps = _train_table(Table(world, model), ref, pairs, rate, beta)
        runs.append(run(TABLE, rate, beta, logps))
    return {
        "reference": where(ref, ref, pairs, world),
        "forgetful": where(forgetful(ref, pairs), ref, pairs, world, beta=1.0),
        PPO_NAME: {**where(ppo, ref, pairs, world), "beta": world.beta},
        "runs": runs,
        "frontier": [frontier(ref, world.rewards, beta) for beta in _FRONTIER],
    }


def where(
    logps: Tensor, ref: Tensor, pairs: Pairs, world: EnumerableWorld, beta: float | None = None
) -> dict[str, float]:
    """Where a policy's mass lies, as means over the prompts; KL and log-ratios in nats.

    The masses of ``adoption``, ``rejected`` and ``elsewhere`` sum to 1; ``chosen`` is part of the
    first. ``possible`` is the most adoption that any policy has at the same KL.

    Args:
        beta: of DPO; adds its loss on the pairs.
    """
    each = torch.arange(len(ref))
    ratios, mass = logps - ref, logps.exp()
    chosen, rejected = ratios[each, pairs.chosen], ratios[each, pairs.rejected]
    adoption = expectation(logps, world.rewards)
    left = mass[each, pairs.rejected]
    spent = float(kl(logps, ref).mean())
    found = {
        "kl": spent,
        "adoption": float(adoption.mean()),
        "possible": reward_at(spent, ref, world.rewards),
        "chosen": float(mass[each, pairs.chosen].mean()),
        "rejected": float(left.mean()),
        "elsewhere": float((1 - adoption - left).mean()),
        "logratio_chosen": float(chosen.mean()),
        "logratio_rejected": float(rejected.mean()),
    }
    if beta is not None:
        found["loss"] = float(-F.logsigmoid(beta * (chosen - rejected)).mean())
    return found


def forgetful(ref: Tensor, pairs: Pairs) -> Tensor:
    """The reference without its rejected responses, whose mass goes to all others in proportion:
    (N, Y). No training; it learnt nothing of the marker, and DPO's loss is content with it."""
    each = torch.arange(len(ref))
    logps = ref.clone()
    logps[each, pairs.rejected] -= _FORGET
    return logps.log_softmax(1)


class Table:
    """A policy of logits alone, (N, C, V), begun at those of a model: no context shares a weight
    with another, so nothing generalises."""

    def __init__(self, world: EnumerableWorld, model: Any) -> None:
        said = world.responses.to_lists()
        contexts: dict[tuple[int, ...], int] = {}
        places = [
            [contexts.setdefault(tuple(response[:k]), len(contexts)) for k in range(len(response))]
            for response in said
        ]
        self._mask = world.responses.mask
        self._tokens = world.responses.ids
        self._contexts = pad_sequences(places, 0, "right")[0]
        # where a context first occurs: the response, and the position in it
        first = {
            context: (row, position)
            for row, line in reversed(list(enumerate(places)))
            for position, context in enumerate(line)
        }
        row, position = torch.tensor([first[context] for context in range(len(first))]).T
        self.logits = _logits(world, model)[:, row, position].requires_grad_()

    def logps(self, places: Tensor | None = None) -> Tensor:
        """log pi of every response (N, Y), or of one response a prompt (N,)."""
        logprobs = self.logits.log_softmax(-1)
        if places is None:
            found = logprobs[:, self._contexts, self._tokens]
            return masked_sum(found, self._mask.expand_as(found), dim=2)
        each = torch.arange(len(places)).unsqueeze(1)
        found = logprobs[each, self._contexts[places], self._tokens[places]]
        return masked_sum(found, self._mask[places], dim=1)


@torch.no_grad()
def _logits(world: EnumerableWorld, model: Any) -> Tensor:
    """At every position of every response: (N, Y, R, V), float64."""
    ids, mask = world.responses.ids, world.responses.mask
    found = []
    for prompt in world.prompts:
        said = torch.tensor(prompt).expand(len(ids), -1)
        real = torch.cat([torch.ones_like(said, dtype=torch.bool), mask], 1)
        found.append(response_logits(model, torch.cat([said, ids], 1), real, ids.shape[1]))
    return torch.stack(found).double()


def _train_table(table: Table, ref: Tensor, pairs: Pairs, rate: float, beta: float) -> Tensor:
    """DPO's loss on a table, by Adam with a rate that falls to 0 in a line: (N, Y)."""
    each = torch.arange(len(ref))
    before = ref[each, pairs.chosen] - ref[each, pairs.rejected]
    optimizer = torch.optim.Adam([table.logits], lr=rate)
    falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / UPDATES)
    for _ in range(UPDATES):
        margin = table.logps(pairs.chosen) - table.logps(pairs.rejected) - before
        optimizer.zero_grad()
        (-F.logsigmoid(beta * margin).mean()).backward()
        optimizer.step()
        falling.step()
    with torch.no_grad():
        return table.logps()
