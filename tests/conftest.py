"""What every test stands on: no network, no tracking, no cache of an earlier run."""

import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import Any

os.environ["WANDB_MODE"] = "disabled"
os.environ["HF_HUB_OFFLINE"] = "1"

import datasets
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from rlhf_compare import cli
from rlhf_compare.models.tokenizer import train_tokenizer
from tests.command_line import Outcome

_ROOT = Path(__file__).resolve().parents[1]
_SHARED = _ROOT.parent / "shared" / "data"
_EOS = "<|endoftext|>"

# What a recipe leaves to its user to say.
_NEEDED = {name: ["data.path=rows.jsonl"] for name in ("hh_small", "alpaca_reward")}
RECIPES = [
    pytest.param(path, _NEEDED.get(path.stem, []), id=path.stem)
    for path in sorted((_ROOT / "recipes").glob("*.yaml"))
]


def _is_local(address: Any) -> bool:
    if not isinstance(address, tuple):  # a Unix socket's path
        return True
    if address[0] in ("localhost", ""):
        return True
    try:
        return ipaddress.ip_address(address[0]).is_loopback
    except ValueError:  # a host name: looking it up is network already
        return False


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to anywhere but this machine fails the test that makes it."""
    for name in ("connect", "connect_ex"):
        original = getattr(socket.socket, name)

        def guarded(self: socket.socket, address: Any, original: Any = original) -> Any:
            if not _is_local(address):
                pytest.fail(f"a test connected to {address}")
            return original(self, address)

        monkeypatch.setattr(socket.socket, name, guarded)


@pytest.fixture(autouse=True)
def no_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")


@pytest.fixture(autouse=True, scope="session")
def no_datasets_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Files are read anew; what ``datasets`` must write goes with the session."""
    datasets.disable_caching()
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("datasets")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of public data files, beside the checkout; tests that need it skip without it."""
    if not _SHARED.is_dir():
        pytest.skip(f"no public data files in {_SHARED}")
    return _SHARED


@pytest.fixture(scope="session")
def gpt2_tokenizer(shared_data: Path) -> PreTrainedTokenizerFast:
    """GPT-2's own tokenizer, pad = EOS."""
    vocab, merges = (shared_data / "gpt2_tokenizer" / f for f in ("vocab.json", "merges.txt"))
    tokenizer = Tokenizer(models.BPE.from_file(str(vocab), str(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=_EOS, pad_token=_EOS)


def small_config(tokenizer: PreTrainedTokenizerFast) -> GPT2Config:
    """A model of a few thousand weights, far from uniform."""
    eos = tokenizer.eos_token_id
    return GPT2Config(
        vocab_size=len(tokenizer), n_layer=2, n_head=2, n_embd=16, n_positions=64,
        bos_token_id=eos, eos_token_id=eos, pad_token_id=eos, initializer_range=0.3,
    )  # fmt: skip


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(["some text to learn a few merges from, some text"], 300)


@pytest.fixture
def policy(tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    return GPT2LMHeadModel(small_config(tokenizer))


@pytest.fixture
def tiny_model_config() -> dict[str, Any]:
    """The ``model.config`` of a recipe: two layers, 16 wide, no dropout."""
    return {
        "model_type": "gpt2",
        "n_layer": 2,
        "n_head": 2,
        "n_embd": 16,
        "n_positions": 128,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    }


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """Calls the entry point; whatever it writes goes below the test's own folder."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["rlhf-compare", *map(str, arguments)])
        code: object = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return command
