"""The policy and the prompts that somebody gives the trainer, held against each other."""

from pathlib import Path
from typing import Any

from datasets import Dataset

from rlhf_compare.data.turns import turn_ends
from rlhf_compare.errors import RecipeError
from rlhf_compare.models.fit import fit_generation_config, position_limit, state_ends
from rlhf_compare.models.policy import causal_lm, load_policy


def open_policy(model: Any) -> Any:
    """The policy, loaded where a directory or a hub id is given, such that it can be saved.

    Raises:
        ValueError: its generation settings contradict each other.
        RecipeError: nothing loadable is there.
    """
    if isinstance(model, str | Path):
        return load_policy(model, local=Path(model).is_dir())
    try:
        fit_generation_config(causal_lm(model), "model")
    except RecipeError as error:
        raise ValueError(str(error)) from error
    return model


def stop_tokens(given: int | None, tokenizer: Any, model: Any) -> tuple[int, ...]:
    """What ends a response: the token that was asked for, or everything that ends a turn, which
    the saved policy's generation settings then say too.

    Raises:
        ValueError: nothing does.
    """
    ends = turn_ends(tokenizer, model) if given is None else (given,)
    if not ends:
        raise ValueError(
            "nothing ends a response: the tokenizer has no EOS token; set tokenizer.eos_token, or "
            "PPOConfig.stop_token_id"
        )
    if given is None:
        state_ends(causal_lm(model), ends)
    return ends


def require_fit(prompts: Dataset, response_length: int, model: Any) -> None:
    """Hold the prompts' ids against the rows of the embedding, and the longest of them with its
    response against the positions of ``model``.

    Rotary models compute beyond the length of their configuration, so theirs is no hard limit.

    Raises:
        ValueError: an id has no row, or a token no position.
    """
    lm = causal_lm(model)
    rows = len(lm.get_input_embeddings().weight)
    for index, ids in enumerate(prompts["input_ids"]):
        if max(ids) >= rows:
            raise ValueError(
                f"prompt {index} holds the id {max(ids)}, but the model's embedding has {rows} "
                "rows; resize it (model.resize_token_embeddings), or use the model's own tokenizer"
            )
    limit = position_limit(lm)
    rotary = getattr(lm.config.get_text_config(), "rope_parameters", None) is not None
    longest = max(map(len, prompts["input_ids"]), default=0)
    if limit is not None and not rotary and longest + response_length > limit:
        raise ValueError(
            f"the longest prompt has {longest} tokens and response_length is {response_length}: "
            f"{longest + response_length} together, but the model has {limit} positions; shorten "
            "the prompts or lower response_length"
        )
