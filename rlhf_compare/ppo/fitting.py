"""The policy and the prompts that somebody gives the trainer, held against each other."""

from pathlib import Path
from typing import Any

from datasets import Dataset

from rlhf_compare.data.turns import turn_ends
from rlhf_compare.errors import RecipeError
from rlhf_compare.models.adapters import AdapterBackbone
from rlhf_compare.models.fit import fit_generation_config, position_limit, state_ends
from rlhf_compare.models.heads import ScalarHeadModel
from rlhf_compare.models.policy import load_policy
from rlhf_compare.models.wrapping import causal_lm
from rlhf_compare.ppo.config import PPOConfig


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


def stop_tokens(args: PPOConfig, tokenizer: Any, model: Any) -> tuple[int, ...]:
    """What ends a response: everything that ends a turn, which the saved policy's generation
    settings then say too; or the one token that was asked for; or nothing, where ``stop_token`` is
    None and no id is given: every response has the full length.

    Raises:
        ValueError: the end of a turn is to end it, and neither tokenizer nor model has one.
    """
    if args.stop_token is None:
        return () if args.stop_token_id is None else (args.stop_token_id,)
    ends = turn_ends(tokenizer, model)
    if not ends:
        raise ValueError(
            "stop_token: the tokenizer has no EOS token; set tokenizer.eos_token or stop_token_id, "
            "or stop_token=None for responses of full length"
        )
    state_ends(causal_lm(model), ends)
    return ends


def require_known_ids(prompts: Dataset, model: Any) -> None:
    """Hold the prompts' ids against the rows of the embedding.

    Raises:
        ValueError: an id has no row.
    """
    rows = len(causal_lm(model).get_input_embeddings().weight)
    for index, ids in enumerate(prompts["input_ids"]):
        if max(ids) >= rows:
            raise ValueError(
                f"prompt {index} holds the id {max(ids)}, but the model's embedding has {rows} "
                "rows; resize it (model.resize_token_embeddings), or use the model's own tokenizer"
            )


def require_positions(longest: int, args: PPOConfig, **models: Any) -> None:
    """Hold the longest prompt and its response against the positions of each model.

    Rotary models compute beyond the length of their configuration, so theirs is no hard limit.

    Raises:
        ValueError: names the model that has fewer positions.
    """
    length = longest + args.response_length
    for role, model in models.items():
        if model is None:
            continue
        limit = position_limit(model)
        rotary = getattr(model.config.get_text_config(), "rope_parameters", None) is not None
        if limit is not None and not rotary and limit < length:
            raise ValueError(
                f"a prompt of {longest} tokens and a response of {args.response_length} "
                f"(response_length) are {length}, {role} has {limit} positions; shorten one"
            )


def safe_pad_id(tokenizer: Any, *models: Any) -> int:
    """An id to fill up with that every model's embedding has: the tokenizer's pad id, EOS or 0. All
    of them are masked, so none changes a result."""
    rows = min(_embedding_rows(model) for model in models if model is not None)
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None and token < rows:
            return int(token)
    return 0


def _embedding_rows(model: Any) -> float:
    trunk = model.backbone if isinstance(model, ScalarHeadModel) else causal_lm(model)
    if isinstance(trunk, AdapterBackbone):
        trunk = causal_lm(trunk.adapters.model)
    return float(trunk.get_input_embeddings().weight.shape[0])
