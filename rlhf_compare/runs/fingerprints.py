"""What a stage depends on by content: the files of a model, whatever their path is called."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# what transformers, tokenizers and PEFT read; a README beside them changes no result
_READ = {
    ".safetensors", ".bin", ".gguf", ".pt", ".pth", ".json", ".model", ".txt", ".jinja",
    ".tiktoken", ".py", ".yaml", ".yml",
}  # fmt: skip

_known: dict[tuple[str, int, int, int], str] = {}  # (path, inode, bytes, mtime) -> SHA-256


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes; read once a process while its size and time stay the same."""
    state = path.stat()
    key = (str(path.absolute()), state.st_ino, state.st_size, state.st_mtime_ns)
    if key not in _known:
        _known[key] = digest_file(path)
    return _known[key]


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read now."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content_of(path: Path) -> str:
    """SHA-256 of a file, or of a folder's model files (weights, configuration, tokenizer, code) by
    name; hidden folders and a Trainer's checkpoints below it are no part of the model."""
    if path.is_file():
        return file_sha256(path)
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path)
        aside = any(part.startswith((".", "checkpoint-")) for part in name.parts)
        if file.suffix in _READ and not aside and file.is_file():
            digest.update(f"{name}\0{file_sha256(file)}\n".encode())
    return digest.hexdigest()


def by_content(value: Any) -> Any:
    """A recipe's value, with the content in place of every path in it that is there."""
    if isinstance(value, Mapping):
        return {key: by_content(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [by_content(item) for item in value]
    if isinstance(value, str) and is_path(value):
        return {"content": content_of(Path(value))}
    return value


def is_path(text: str) -> bool:
    """Whether a text of a recipe names a file or folder that is there."""
    if text.strip(" ./") == "" or "\n" in text or "\0" in text:
        return False
    try:
        return Path(text).exists()
    except OSError:  # a text too long to be a name
        return False


def hub_commit(repo: str, revision: str | None, kind: str = "model") -> str | None:
    """The commit that a hub id stands for: of the local cache, else asked of the hub; None where
    neither can say."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.file_download import repo_folder_name

    wanted = revision or "main"
    try:
        name = repo_folder_name(repo_id=repo, repo_type=kind)
    except ValueError:  # no id at all: loading it will say so
        return None
    folder = Path(constants.HF_HUB_CACHE) / name
    for known in (folder / "refs" / wanted, folder / "snapshots" / wanted):
        if known.is_file():
            return known.read_text().strip()
        if known.is_dir():
            return wanted
    try:
        return HfApi().repo_info(repo, revision=revision, repo_type=kind, timeout=10).sha
    except Exception:  # no network, no such id, no access: loading it will say which
        return None
