"""A GGUF file of a few thousand weights, as llama.cpp's converter would write it."""

from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|endoftext|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def small_llama(tokenizer: Any) -> LlamaForCausalLM:
    torch.manual_seed(0)
    eos = tokenizer.eos_token_id
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=256,
        tie_word_embeddings=True, initializer_range=0.3, eos_token_id=eos, pad_token_id=eos,
        bos_token_id=eos,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def write_gguf(file: Path, model: LlamaForCausalLM, tokenizer: Any, kind: str = "F32") -> None:
    """Args:
    kind: how matrices are stored: a name of ``gguf.GGMLQuantizationType``.
    """
    import gguf

    config = model.config
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name("tiny")
    writer.add_license("cc0-1.0")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, tokenizer)
    stored = gguf.GGMLQuantizationType[kind]
    for name, tensor in _named(model):
        if tensor.ndim == 1 or kind == "F32":
            writer.add_tensor(name, tensor.numpy())
        else:
            packed = gguf.quants.quantize(tensor.numpy(), stored)
            writer.add_tensor(name, packed, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(writer: Any, tokenizer: Any) -> None:
    import json

    words = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    eos = tokenizer.eos_token_id
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([word for word, _ in words])
    writer.add_token_types([3 if index == eos else 1 for _, index in words])  # control, normal
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in merges])
    writer.add_eos_token_id(eos)
    writer.add_bos_token_id(eos)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def _named(model: LlamaForCausalLM) -> list[tuple[str, torch.Tensor]]:
    """The tensors under llama.cpp's names; queries and keys in its order of the rotary halves."""
    state, config = model.state_dict(), model.config
    found = [
        ("token_embd.weight", state["model.embed_tokens.weight"]),
        ("output_norm.weight", state["model.norm.weight"]),
    ]
    parts = {
        "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
        "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }  # fmt: skip
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for layer in range(config.num_hidden_layers):
        for theirs, ours in parts.items():
            weight = state[f"model.layers.{layer}.{ours}.weight"]
            if theirs in heads:
                n, width = heads[theirs], weight.shape[0] // heads[theirs]
                weight = weight.view(n, 2, width // 2, -1).transpose(1, 2).reshape(weight.shape)
            found.append((f"blk.{layer}.{theirs}.weight", weight.contiguous()))
    return found
