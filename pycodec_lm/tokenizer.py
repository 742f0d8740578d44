"""Bytes to token ids and back: byte-level BPE in the form of JPEG-LM.

The ids 0-255 are the bytes themselves, then come the merges in the order in which they were
learned, then <pad>, <bos> and <eos>. Hugging Face `tokenizers` loads only to learn merges and to
apply them.

Source: arXiv 2408.08459, section 3.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ._files import write_file
from ._tokenizer_json import parse_tokenizer, read_tokenizer, text_of, tokenizer_json
from .errors import UsageError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from .tokenizer_info import TokenizerInfo

__all__ = ["BOS", "EOS", "PAD", "ByteTokenizer"]

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
_SPECIALS = (PAD, BOS, EOS)
# `tokenizers` learns from "words", in time that grows with the square of their length (a megabyte
# takes hours). Cut so short, only one pair in a thousand is not seen.
_PIECE_BYTES = 1024


class ByteTokenizer:
    """A byte-level BPE tokenizer: any byte string encodes, and decodes to itself.

    Args:
        merges: pairs of byte strings in the order in which they were learned; none for a tokenizer
            whose tokens are single bytes.

    >>> tokenizer = ByteTokenizer([(b"\\xff", b"\\xd8")])
    >>> tokenizer.decode(tokenizer.encode(b"\\xff\\xd8\\xff"))
    b'\\xff\\xd8\\xff'
    """

    def __init__(self, merges: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.merges = [*merges]
        ids = {bytes([value]): value for value in range(256)}
        for left, right in self.merges:
            if left not in ids or right not in ids:
                raise UsageError(
                    f"the merge of {left.hex()} and {right.hex()} comes before one of its parts"
                )
            # Two merges may give the same bytes, a + bc and ab + c: they share a token.
            ids.setdefault(left + right, len(ids))
        self.encoded_vocab: list[bytes] = [*ids, *[b""] * len(_SPECIALS)]
        self.pad_id, self.bos_id, self.eos_id = range(len(ids), len(ids) + len(_SPECIALS))
        self._backend: Tokenizer | None = None

    @classmethod
    def bytes_only(cls) -> ByteTokenizer:
        """The tokenizer without merges: a token is a byte."""
        return cls()

    @classmethod
    def train(
        cls, samples: Iterable[bytes], vocab_size: int, *, show_progress: bool = False
    ) -> ByteTokenizer:
        """Learns merges from samples; the same samples give the same merges.

        Args:
            samples: the training data, a byte string a file.
            vocab_size: how many tokens there shall be, the 256 bytes and the three specials among
                them; fewer come out where no pair of tokens stands twice in the samples any more.
            show_progress: True draws the progress of `tokenizers` on standard error.

        Raises:
            UsageError: `vocab_size` is below 259, or the samples are empty.
        """
        n_merges = vocab_size - 256 - len(_SPECIALS)
        if n_merges < 0:
            raise UsageError(
                f"a vocabulary of {vocab_size} is too small: 256 bytes and {len(_SPECIALS)} special"
                f" tokens are {256 + len(_SPECIALS)}"
            )
        texts = [
            text_of(sample[start : start + _PIECE_BYTES])
            for sample in samples
            for start in range(0, len(sample), _PIECE_BYTES)
        ]
        if not texts:
            raise UsageError("there is nothing to learn a tokenizer from: the samples are empty")
        if n_merges == 0:
            return cls()

        from tokenizers import Tokenizer, models, trainers

        backend = Tokenizer(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=256 + n_merges,
            min_frequency=2,
            initial_alphabet=[*text_of(bytes(range(256)))],
            special_tokens=[],
            show_progress=show_progress,
        )
        backend.train_from_iterator(texts, trainer, length=len(texts))
        return cls(parse_tokenizer(backend.to_str()).merges)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ByteTokenizer:
        """Reads a file that `save` wrote.

        Raises:
            OSError: the file cannot be read.
            UsageError: it is not such a file.
        """
        content = read_tokenizer(path)
        tokenizer = cls(content.merges)
        n_specials = len(_SPECIALS)
        texts = [text_of(token) for token in tokenizer.encoded_vocab[:-n_specials]]
        if content.tokens != [*texts, *_SPECIALS] or not content.is_plain:
            raise UsageError(
                f"{os.fspath(path)} is not a tokenizer of this package: its tokens must be the 256"
                f" bytes, the merges in order, then {', '.join(_SPECIALS)}"
            )
        return tokenizer

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a `tokenizer.json` that Hugging Face `tokenizers` loads as well."""
        write_file(path, self.to_json().encode())

    def to_json(self) -> str:
        """What `save` writes."""
        return tokenizer_json(self.encoded_vocab[: -len(_SPECIALS)], self.merges, _SPECIALS)

    def encode(self, data: bytes) -> list[int]:
        """The token ids of `data`, without specials."""
        return self.encode_batch([data])[0]

    def encode_batch(self, samples: Sequence[bytes]) -> list[list[int]]:
        """The token ids of each sample, on all cores."""
        if not self.merges:
            return [[*sample] for sample in samples]
        if self._backend is None:
            from tokenizers import Tokenizer

            self._backend = Tokenizer.from_str(self.to_json())
        texts = [text_of(sample) for sample in samples]
        encodings = self._backend.encode_batch_fast(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def decode(self, ids: Iterable[int]) -> bytes:
        """The bytes of `ids`; special tokens stand for none.

        Raises:
            UsageError: an id is not in the vocabulary.
        """
        pieces = []
        for token_id in ids:
            if not 0 <= token_id < self.vocab_size:
                raise UsageError(
                    f"token id {token_id} is not in the vocabulary of {self.vocab_size} tokens"
                )
            pieces.append(self.encoded_vocab[token_id])
        return b"".join(pieces)

    def info(self) -> TokenizerInfo:
        """What the grammar engine needs to know of this tokenizer."""
        from .tokenizer_info import TokenizerInfo

        return TokenizerInfo(
            self.encoded_vocab,
            stop_token_ids=[self.eos_id],
            special_token_ids=[self.pad_id, self.bos_id],
            merges=self.merges,
        )

    @property
    def vocab_size(self) -> int:
        """How many tokens there are, the specials among them."""
        return len(self.encoded_vocab)

    def __repr__(self) -> str:
        return f"ByteTokenizer(vocab_size={self.vocab_size}, n_merges={len(self.merges)})"
