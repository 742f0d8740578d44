"""Vocabularies to walk and to measure with."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..tokenizer_info import TokenizerInfo

if TYPE_CHECKING:
    from ..tokenizer import ByteTokenizer

__all__ = ["byte_vocabulary", "pair_vocabulary", "shuffled", "train_tokenizer"]


def byte_vocabulary() -> TokenizerInfo:
    """A token a byte, and a stop token."""
    return TokenizerInfo([*(bytes([b]) for b in range(256)), b""], stop_token_ids=[256])


def pair_vocabulary(samples: Sequence[bytes], n_pieces: int) -> TokenizerInfo:
    """The bytes, and pieces of 2 to 8 bytes of the samples: longer tokens without any training."""
    rng = random.Random(0)
    pieces: dict[bytes, None] = {}
    for _ in range(4 * n_pieces):
        if len(pieces) == n_pieces:
            break
        sample = rng.choice(samples)
        start = rng.randrange(len(sample) - 8)
        pieces[sample[start : start + rng.randint(2, 8)]] = None
    vocab = [*(bytes([b]) for b in range(256)), *pieces, b""]
    return TokenizerInfo(vocab, stop_token_ids=[len(vocab) - 1])


def shuffled(info: TokenizerInfo, seed: int) -> TokenizerInfo:
    """The same tokens under other ids: "the highest id" is then another token."""
    vocab = info.encoded_vocab
    order = [*range(len(vocab))]
    random.Random(seed).shuffle(order)
    stops = {*info.stop_token_ids}
    return TokenizerInfo(
        [vocab[i] for i in order],
        stop_token_ids=[new for new, old in enumerate(order) if old in stops],
    )


def train_tokenizer(samples: Sequence[bytes], vocab_size: int) -> ByteTokenizer:
    """A BPE tokenizer of just this size, learned from the samples."""
    from ..errors import CodecLMError
    from ..tokenizer import ByteTokenizer

    tokenizer = ByteTokenizer.train(samples, vocab_size)
    if tokenizer.vocab_size != vocab_size:
        raise CodecLMError(
            f"the pictures give a vocabulary of {tokenizer.vocab_size} tokens, not {vocab_size}:"
            " give more of them"
        )
    return tokenizer
