"""Hugging Face's `tokenizer.json` in the JPEG-LM form, read and written without `tokenizers`.

In this form the byte b is the one character `chr(0x2800 + b)`, so any byte string is a text without
a character that a normaliser or a pre-tokeniser could touch.

Source: arXiv 2408.08459, section 3; the authors' released `tokenizer.json`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from ._files import read_file
from .errors import UsageError

__all__ = ["TokenizerFile", "bytes_of", "read_tokenizer", "text_of", "tokenizer_json"]

_FIRST_CHAR = 0x2800
_BYTE_CHARS = frozenset(chr(_FIRST_CHAR + value) for value in range(256))


def text_of(data: bytes) -> str:
    """The text that stands for `data`: byte b is chr(0x2800 + b)."""
    utf_16 = bytearray(b"\x00\x28" * len(data))
    utf_16[::2] = data
    return utf_16.decode("utf-16-le")


def bytes_of(text: str) -> bytes:
    """The bytes that `text` stands for; ValueError where it stands for none."""
    if not _BYTE_CHARS.issuperset(text):
        raise ValueError(f"{text!r} is not in the JPEG-LM form, where byte b is chr(0x2800 + b)")
    return text.encode("utf-16-le")[::2]


@dataclass(frozen=True, slots=True)
class TokenizerFile:
    """What stands in a `tokenizer.json`.

    Attributes:
        tokens: the text of each token, by id.
        special_ids: the ids marked as special.
        merges: the merges in the order in which they were learned, as bytes.
        is_plain: whether nothing but the merges decides how a text is split.
    """

    tokens: list[str]
    special_ids: frozenset[int]
    merges: list[tuple[bytes, bytes]]
    is_plain: bool


def read_tokenizer(path: str | os.PathLike[str]) -> TokenizerFile:
    """Reads a `tokenizer.json`.

    Raises:
        OSError: the file cannot be read.
        UsageError: it is not a `tokenizer.json` with a BPE model whose ids are 0 to n-1.
    """
    data = read_file(path)
    try:
        return parse_tokenizer(data.decode())
    except (ValueError, RecursionError) as error:
        detail = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise UsageError(f"{os.fspath(path)} is not a usable tokenizer.json: {detail}") from None


def parse_tokenizer(text: str) -> TokenizerFile:
    """Parses the text of a `tokenizer.json`; ValueError where it is none."""
    content = json.loads(text)
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict) or model.get("type") != "BPE":
        raise ValueError("it has no model of type BPE")
    vocab, added = model.get("vocab"), content.get("added_tokens") or []
    if not isinstance(vocab, dict) or not isinstance(added, list):
        raise ValueError("its vocabulary is not a table")

    token_of = {_token_id(token_id): token for token, token_id in vocab.items()}
    special_ids = set()
    for entry in added:
        if not isinstance(entry, dict) or not isinstance(entry.get("content"), str):
            raise ValueError("an added token has no content")
        token_id = _token_id(entry.get("id"))
        token_of[token_id] = entry["content"]
        if entry.get("special"):
            special_ids.add(token_id)
    if token_of.keys() != set(range(len(token_of))):
        raise ValueError(f"its {len(token_of)} ids are not 0 to {len(token_of) - 1}")
    return TokenizerFile(
        tokens=[token_of[token_id] for token_id in range(len(token_of))],
        special_ids=frozenset(special_ids),
        merges=_merges(model.get("merges")),
        is_plain=content.get("normalizer") is None and content.get("pre_tokenizer") is None,
    )


def tokenizer_json(
    encoded_vocab: Sequence[bytes], merges: Sequence[tuple[bytes, bytes]], specials: Sequence[str]
) -> str:
    """The text of a `tokenizer.json`.

    Args:
        encoded_vocab: the bytes of the tokens that have some, by id.
        merges: the merges in the order in which they were learned.
        specials: the names of the special tokens, which take the ids after them.
    """
    added_tokens = [
        {
            "id": len(encoded_vocab) + i,
            "content": name,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for i, name in enumerate(specials)
    ]
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {text_of(token): token_id for token_id, token in enumerate(encoded_vocab)},
        "merges": [[text_of(left), text_of(right)] for left, right in merges],
    }
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added_tokens,
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {"type": "Fuse"},
        "model": model,
    }
    return json.dumps(content, indent=1) + "\n"


def _token_id(value: object) -> int:
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is not a token id")
    return value


def _merges(rows: object) -> list[tuple[bytes, bytes]]:
    """The merges, each written as ["a", "b"] or, by older versions, as "a b"."""
    merges = []
    for row in rows if isinstance(rows, list) else _refuse_merges(rows):
        parts = row.split(" ") if isinstance(row, str) else row
        if not isinstance(parts, list) or len(parts) != 2:
            _refuse_merges(row)
        left, right = parts
        if not isinstance(left, str) or not isinstance(right, str):
            _refuse_merges(row)
        merges.append((bytes_of(left), bytes_of(right)))
    return merges


def _refuse_merges(value: object) -> NoReturn:
    raise ValueError(f"{str(value)[:40]!r} is not a merge")
