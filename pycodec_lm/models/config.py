"""The shape of a backbone, as it stands in TOML files and in a checkpoint's config.json."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pycodec_lm.errors import UsageError

# Number of values of each annotation column; equal to pycodec_lm.ANNOTATION_SIZES (a test says so).
ANNOTATION_SIZES = (16, 5, 11, 64, 64, 64, 32, 256)


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """Shape of a backbone.

    Args:
        vocab_size: token ids, specials included.
        dim: width of the residual stream.
        n_layers, n_heads, n_kv_heads: n_kv_heads None = n_heads; it must divide n_heads.
        ffn_dim: width of the SwiGLU; None = 8/3 of dim, rounded up to a multiple of 32.
        rope_theta, norm_eps: as in Llama.
        max_seq_len: positions, <bos> included.
        tie_embeddings: the output matrix is the input embedding.
        conditions: (name, n_classes) of each condition; its null class is number n_classes.
        codec_inputs: add the annotation embeddings.
        dropout: on the embeddings and on each residual branch, in training only.
    """

    vocab_size: int
    dim: int = 160
    n_layers: int = 5
    n_heads: int = 4
    n_kv_heads: int | None = None
    ffn_dim: int | None = None
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5
    max_seq_len: int = 1024
    tie_embeddings: bool = False
    conditions: tuple[tuple[str, int], ...] = ()
    codec_inputs: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("vocab_size", "dim", "n_layers", "n_heads", "max_seq_len"):
            if getattr(self, name) < 1:
                raise UsageError(f"model {name} = {getattr(self, name)}, must be at least 1")
        if self.dim % self.n_heads or (self.dim // self.n_heads) % 2:
            raise UsageError(
                f"model dim = {self.dim} must split into n_heads = {self.n_heads} "
                "heads of even width"
            )
        if self.kv_heads < 1 or self.n_heads % self.kv_heads:
            raise UsageError(
                f"model n_kv_heads = {self.n_kv_heads} must divide n_heads = {self.n_heads}"
            )
        if self.hidden_dim < 1:
            raise UsageError(f"model ffn_dim = {self.ffn_dim}, must be at least 1")
        if not 0.0 <= self.dropout < 1.0:
            raise UsageError(f"model dropout = {self.dropout}, must be in [0, 1)")

    @property
    def head_dim(self) -> int:
        """Width of one head."""
        return self.dim // self.n_heads

    @property
    def kv_heads(self) -> int:
        """Number of key/value heads."""
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads

    @property
    def hidden_dim(self) -> int:
        """Width of the SwiGLU."""
        return -(-8 * self.dim // (3 * 32)) * 32 if self.ffn_dim is None else self.ffn_dim

    @property
    def null_conditions(self) -> tuple[int, ...]:
        """The class number that means 'not said', for each condition."""
        return tuple(n_classes for _, n_classes in self.conditions)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; `from_dict` takes them back."""
        return dataclasses.asdict(self) | {"conditions": [list(pair) for pair in self.conditions]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`. Raises UsageError for wrong keys and types."""
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise UsageError(f"model config has an unknown key '{unknown[0]}'")
        if "vocab_size" not in values:
            raise UsageError("model config lacks vocab_size")
        for name, value in values.items():
            if name != "conditions" and not _has_type_of(name, value):
                raise UsageError(f"model config has {name} = {value!r}")
        conditions = tuple((str(name), int(n)) for name, n in values.get("conditions", ()))
        return cls(**{**values, "conditions": conditions})


_FLOATS = ("rope_theta", "norm_eps", "dropout")
_FLAGS = ("tie_embeddings", "codec_inputs")
_OPTIONAL = ("n_kv_heads", "ffn_dim")


def _has_type_of(name: str, value: object) -> bool:
    if name in _FLAGS:
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if name in _FLOATS:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, int) or (value is None and name in _OPTIONAL)
