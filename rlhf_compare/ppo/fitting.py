"""Checks of a policy and its prompts: ids, positions, stop tokens, padding."""

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
    """The policy, ready to be saved; loaded if a directory or a hub id is given.

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
    """The tokens that end a response.

    By default they are all tokens that end a turn; the saved policy's generation settings then name
    them too. With ``stop_token_id`` it is that token alone. With ``stop_token`` None and no id
    there are none, and every response has the full length.

    Raises:
        ValueError: the end of a turn should end a response, but neither tokenizer nor model has
            one.
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
    """Check that the embedding has a row for every id of the prompts.

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
    """Check that every model has positions for the longest prompt and its response.

    Models with rotary positions can compute beyond the length in their configuration, so that
    length is no hard limit.

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
    """A padding id that every model's embedding has: the tokenizer's pad id, EOS or 0. Padding is
    masked, so the choice changes no result."""
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
