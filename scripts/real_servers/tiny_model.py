"""A language model of some twenty words, trained in closed form, in the files that servers load.

It is a bigram model written as a Llama: each token's embedding is a unit vector of its own, the
one layer adds nothing, and the output matrix holds the log-probabilities of what follows, counted
over the sentences below. So it answers in a millisecond, stops by itself, and its
log-probabilities are known exactly. Run with the Python of the server that will load it:

    python tiny_model.py gguf OUT.gguf          # needs gguf
    python tiny_model.py transformers FOLDER    # needs torch, transformers
"""

from __future__ import annotations

import math
import sys
from collections import Counter, defaultdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy

SENTENCES = (
    "paris is the capital of france",
    "canberra is the capital of australia",
    "the capital of france is paris",
    "the capital of australia is canberra",
    "the answer is paris",
    "the answer is canberra and not sydney",
    "i think the answer is paris",
    "i think that the earth is round",
    "the earth is round and not flat",
    "i cannot help with that",
    "sorry i cannot help with that",
)

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ message['role'] + ': ' + message['content'] + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
CONTEXT = 512
HEADS = 4


def transitions() -> dict[str, dict[str, float]]:
    """The probability of each word after each word; sentences begin after anything else."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sentence in SENTENCES:
        words = sentence.split()
        for before, after in zip([BEGIN, *words], [*words, END], strict=True):
            counts[before][after] += 1
    return {
        before: {after: count / following.total() for after, count in following.items()}
        for before, following in counts.items()
    }


def words() -> list[str]:
    """All words, in a fixed order."""
    return sorted({word for sentence in SENTENCES for word in sentence.split()})


def vocabulary() -> list[str]:
    """Specials, the 256 bytes that any prompt is read as, and the words that are spoken."""
    return [
        *(UNKNOWN, BEGIN, END),
        *(f"<0x{number:02X}>" for number in range(256)),
        *(f"\u2581{word}" for word in words()),
    ]


def weights() -> tuple[Any, Any]:
    """Embedding and output matrix, both (tokens, width); a sentence starts after every byte."""
    tokens = vocabulary()
    width = math.ceil(len(tokens) / (2 * HEADS)) * 2 * HEADS
    # After its norm a unit vector is the root of the width times as long.
    output = numpy.full((len(tokens), width), -30.0, dtype=numpy.float32)
    table = transitions()
    for number, token in enumerate(tokens):
        for after, share in table.get(token.removeprefix("\u2581"), table[BEGIN]).items():
            spoken = after if after == END else f"\u2581{after}"
            output[tokens.index(spoken), number] = math.log(share)
    return numpy.eye(len(tokens), width, dtype=numpy.float32), output / math.sqrt(width)


def write_gguf(path: Path) -> None:
    """A file for llama.cpp."""
    gguf = import_module("gguf")
    tokens = vocabulary()
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    kinds += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * len(words())
    embedding, output = weights()
    width = embedding.shape[1]
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tiny-bigram")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(width // HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output_norm.weight", numpy.ones(width, numpy.float32))
    writer.add_tensor("output.weight", output)
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", numpy.ones(width, numpy.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        writer.add_tensor(f"blk.0.{name}.weight", numpy.zeros((width, width), numpy.float32))
    for name in ("ffn_gate", "ffn_up"):
        writer.add_tensor(f"blk.0.{name}.weight", numpy.zeros((32, width), numpy.float32))
    writer.add_tensor("blk.0.ffn_down.weight", numpy.zeros((width, 32), numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_transformers(folder: Path) -> None:
    """A folder for transformers."""
    torch, tokenizers, transformers = map(import_module, ("torch", "tokenizers", "transformers"))
    tokens = vocabulary()
    embedding, output = weights()
    width = embedding.shape[1]
    config = transformers.LlamaConfig(
        vocab_size=len(tokens),
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=HEADS,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        dtype="float32",
    )
    model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.fill_(1.0 if "norm" in name else 0.0)
        model.model.embed_tokens.weight.copy_(torch.as_tensor(embedding))
        model.lm_head.weight.copy_(torch.as_tensor(output))
    model.generation_config.do_sample = True
    model.save_pretrained(folder)
    ids = {token: number for number, token in enumerate(tokens)}
    bytewise = tokenizers.models.BPE(ids, [], unk_token=UNKNOWN, byte_fallback=True)
    tokenizer = tokenizers.Tokenizer(bytewise)
    decoders = tokenizers.decoders
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BEGIN, eos_token=END, unk_token=UNKNOWN
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)


if __name__ == "__main__":
    form, target = sys.argv[1:]
    {"gguf": write_gguf, "transformers": write_transformers}[form](Path(target))
