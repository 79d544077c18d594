"""Reference log-probabilities are computed once, found again, and paid for by everybody."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import GPT2LMHeadModel

from rlhf_compare.dpo.reference import COLUMNS, CachedLogps, ReferenceCache, hash_weights
from rlhf_compare.runs.meter import DeviceMeter
from tests.dpo.conftest import MakeDPO
from tests.ppo.helpers import weights_hash


def files(cache: ReferenceCache) -> list[Path]:
    return sorted(cache.directory.iterdir())


def logps(trainer: Any) -> list[list[float]]:
    return [list(trainer.train_dataset[name]) for name in COLUMNS]


def test_second_run_finds_them_and_is_charged_the_same(
    make_dpo: MakeDPO, policy: GPT2LMHeadModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, meters = ReferenceCache(tmp_path / "cache", "model"), [DeviceMeter(), DeviceMeter()]
    second_policy = copy.deepcopy(policy)
    first = make_dpo(reference_cache=cache, meter=meters[0])
    calls = 0

    def count(_model: Any, _args: Any, named: dict[str, Any]) -> None:
        nonlocal calls
        calls += bool(named.get("fused_lm_head"))

    second_policy.register_forward_pre_hook(count, with_kwargs=True)
    second = make_dpo(model=second_policy, reference_cache=cache, meter=meters[1])
    assert calls == 0
    assert logps(second) == logps(first)
    assert len(files(cache)) == 1
    assert meters[1].phases["reference"] > 0
    assert meters[1].phases["reference"] == pytest.approx(meters[0].phases["reference"], rel=0.2)
    with meters[1].stage():
        pass
    assert meters[1].total >= meters[1].phases["reference"]  # the stage pays what the phase does


def test_who_finds_them_trains_as_who_made_them(
    make_dpo: MakeDPO, policy: GPT2LMHeadModel, tmp_path: Path
) -> None:
    cache, twin = ReferenceCache(tmp_path / "cache", "model"), copy.deepcopy(policy)
    by_length = {"train_sampling_strategy": "group_by_length"}
    make_dpo(by_length, reference_cache=cache).train()
    make_dpo(by_length, model=twin, reference_cache=cache).train()
    assert weights_hash(twin) == weights_hash(policy)


def test_other_pairs_order_model_or_precision_are_other_files(
    tmp_path: Path, pairs: Dataset
) -> None:
    cache = ReferenceCache(tmp_path, "model")
    settings = (False, False, None, "cpu")
    paths = {
        cache.path(pairs, settings),
        cache.path(pairs.select(reversed(range(len(pairs)))), settings),
        cache.path(pairs.select(range(15)), settings),
        cache.path(pairs, (True, False, None, "cpu")),
        ReferenceCache(tmp_path, "other").path(pairs, settings),
    }
    assert len(paths) == 5
    assert cache.path(pairs, settings) in paths


def test_damaged_file_is_made_again(make_dpo: MakeDPO, tmp_path: Path) -> None:
    cache = ReferenceCache(tmp_path / "cache", "model")
    first = make_dpo(reference_cache=cache)
    (file,) = files(cache)
    whole = file.read_bytes()
    for broken in (whole[:-5], b"", b"nonsense" * 9):
        file.write_bytes(broken)
        assert cache.load(file) is None
    again = make_dpo(reference_cache=cache)
    assert logps(again) == logps(first)
    assert cache.load(file) is not None


def test_numbers_come_back_to_the_bit(tmp_path: Path) -> None:
    cache = ReferenceCache(tmp_path, "model")
    stored = CachedLogps(torch.randn(7), torch.randn(7), 1.25)
    cache.save(tmp_path / "a.safetensors", stored)
    back = cache.load(tmp_path / "a.safetensors")
    assert back is not None and back.seconds == 1.25
    assert torch.equal(back.chosen, stored.chosen) and torch.equal(back.rejected, stored.rejected)
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_hash_of_a_saved_model_is_of_its_weights(policy: GPT2LMHeadModel, tmp_path: Path) -> None:
    policy.save_pretrained(tmp_path / "a")
    policy.save_pretrained(tmp_path / "b")
    assert hash_weights(tmp_path / "a") == hash_weights(tmp_path / "b")
    with torch.no_grad():
        next(policy.parameters())[0, 0] += 1
    policy.save_pretrained(tmp_path / "b")
    assert hash_weights(tmp_path / "a") != hash_weights(tmp_path / "b")
