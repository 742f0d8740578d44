"""What the grammar engine needs to know of a tokenizer."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ._core import TokenizerInfo as _TokenizerInfo
from ._tokenizer_json import bytes_of, read_tokenizer
from .errors import UsageError

__all__ = ["TokenizerInfo"]

# The names under which vocabularies keep the token that ends a text.
_STOP_NAMES = ("<eos>", "</s>", "<|endoftext|>", "<|end_of_text|>", "[EOS]")


class TokenizerInfo(_TokenizerInfo):
    """The bytes of each token, and which tokens end a file or never stand in one.

    Args:
        encoded_vocab: the bytes of each token, by id.
        stop_token_ids: the tokens that end a file, allowed exactly when it is complete.
        special_token_ids: tokens that never stand in a file, such as <pad>.
        merges: the pairs of byte strings that a BPE tokenizer joins, in the order in which they
            were learned. Forced bytes are then spelled as it would spell them, else by the longest
            match.

    >>> info = TokenizerInfo([bytes([b]) for b in range(256)] + [b""], stop_token_ids=[256])
    >>> info.vocab_size
    257
    """

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], *, stop_tokens: Iterable[str] | None = None
    ) -> TokenizerInfo:
        """Reads a Hugging Face `tokenizer.json` in the JPEG-LM form, without `tokenizers`.

        Args:
            path: the file.
            stop_tokens: the names of the tokens that end a file; by default those of <eos>, </s>,
                <|endoftext|>, <|end_of_text|> and [EOS] that it has.

        Raises:
            OSError: the file cannot be read.
            UsageError: it is not such a file, or has no such token.
        """
        name = os.fspath(path)
        content = read_tokenizer(path)
        wanted = [*_STOP_NAMES] if stop_tokens is None else [*stop_tokens]
        missing = [token for token in wanted if token not in content.tokens]
        if missing and (stop_tokens is not None or len(missing) == len(wanted)):
            raise UsageError(
                f"{name} has no token {' or '.join(missing)}: name the one that ends a file with"
                " stop_tokens=[...]"
            )
        stop_ids = [i for i, token in enumerate(content.tokens) if token in wanted]
        special_ids = content.special_ids.difference(stop_ids)
        no_bytes = special_ids.union(stop_ids)
        try:
            encoded_vocab = [
                b"" if i in no_bytes else bytes_of(token) for i, token in enumerate(content.tokens)
            ]
        except ValueError as error:
            raise UsageError(f"{name}: the token {error}") from None
        return cls(
            encoded_vocab,
            stop_token_ids=stop_ids,
            special_token_ids=sorted(special_ids),
            merges=content.merges,
        )
