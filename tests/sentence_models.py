"""Sentence encoders so small that a loop can check them: an ONNX table of words, and a random BERT."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WORDS = ["[UNK]", "[CLS]", "[SEP]", "a", "man", "dog", "walks", "runs", "fights", "sleeps", "[PAD]"]
TABLE = np.random.default_rng(7).normal(size=(len(WORDS), 6)).astype(np.float32)
"""The vector of each word in the ONNX network."""


def write_tokenizer(folder: Path, *, longest: int | None = None) -> Path:
    """Words at spaces, between [CLS] and [SEP]; padded to 12, as some are that were saved after training."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.enable_padding(pad_id=10, pad_token="[PAD]", length=12)
    if longest:
        tokenizer.enable_truncation(longest)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def write_network(path: Path, inputs: tuple[str, ...] = ("input_ids", "attention_mask")) -> Path:
    """A network whose vector of a token is that of its word; beside it the sum of those of a sentence."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", inputs[0]], ["tokens"], axis=0),
            helper.make_node("ReduceSum", ["tokens", "axis"], ["sentence"], keepdims=0),
        ],
        "words",
        [info(name, TensorProto.INT64, ["n", "length"]) for name in inputs],
        [
            info("tokens", TensorProto.FLOAT, ["n", "length", 6]),
            info("sentence", TensorProto.FLOAT, ["n", 6]),
        ],
        [numpy_helper.from_array(TABLE, "table"), numpy_helper.from_array(np.array([1]), "axis")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def write_onnx_model(folder: Path, **options: int) -> Path:
    """A folder with the network and its tokenizer."""
    write_tokenizer(folder, **options)
    write_network(folder / "words.onnx")
    return folder


def write_bert(folder: Path) -> Path:
    """A random BERT in a folder of transformers, with its tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    small = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=16, **small)).save_pretrained(folder)
    return write_tokenizer(folder)
