"""all-MiniLM-L6-v2 a second time, in plain numpy and Python, from the papers' equations."""

import json
import struct
import unicodedata
from pathlib import Path

import numpy as np
from scipy.special import erf

HEADS = 12


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The format by hand: 8 bytes of length, a JSON of names, shapes and offsets, then numbers."""
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    header.pop("__metadata__", None)
    found = {}
    for name, facts in header.items():
        if facts["dtype"] == "F32":
            first, last = (8 + size + offset for offset in facts["data_offsets"])
            values = np.frombuffer(content[first:last], "<f4").reshape(facts["shape"])
            found[name] = values.astype(np.float64)
    return found


def word_pieces(text: str, vocabulary: dict[str, int], longest: int = 256) -> list[int]:
    """Tokens of an English sentence: small letters, no accents, greedy longest match first."""
    text = unicodedata.normalize("NFD", text.lower())
    text = "".join(sign for sign in text if unicodedata.category(sign) != "Mn")
    words = "".join(f" {s} " if not s.isalnum() and not s.isspace() else s for s in text).split()
    ids: list[int] = []
    for word in words:
        pieces, begin = [], 0
        while begin < len(word):
            for end in range(len(word), begin, -1):
                piece = ("##" if begin else "") + word[begin:end]
                if piece in vocabulary:
                    pieces.append(vocabulary[piece])
                    begin = end
                    break
            else:
                pieces = [vocabulary["[UNK]"]]
                break
        ids += pieces
    return [vocabulary["[CLS]"], *ids[: longest - 2], vocabulary["[SEP]"]]


def forward(ids: list[int], w: dict[str, np.ndarray]) -> np.ndarray:
    """The vector of one sentence without padding, in float64: a BERT block by block."""

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-12)
        return x * w[f"{name}.LayerNorm.weight"] + w[f"{name}.LayerNorm.bias"]

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    h = w["embeddings.word_embeddings.weight"][ids]
    h = h + w["embeddings.position_embeddings.weight"][: len(ids)]
    h = norm(h + w["embeddings.token_type_embeddings.weight"][0], "embeddings")
    for block in range(6):
        name = f"encoder.layer.{block}"
        q, k, v = (linear(h, f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
        parts = []
        for head in np.split(np.arange(h.shape[1]), HEADS):
            logits = q[:, head] @ k[:, head].T / np.sqrt(len(head))
            weights = np.exp(logits - logits.max(-1, keepdims=True))
            parts.append(weights / weights.sum(-1, keepdims=True) @ v[:, head])
        mixed = linear(np.concatenate(parts, -1), f"{name}.attention.output.dense")
        h = norm(h + mixed, f"{name}.attention.output")
        wide = linear(h, f"{name}.intermediate.dense")
        wide = wide * 0.5 * (1 + erf(wide / np.sqrt(2)))  # GELU
        h = norm(h + linear(wide, f"{name}.output.dense"), f"{name}.output")
    mean = h.mean(0)
    return mean / np.linalg.norm(mean)
