"""A Llama backbone (RMSNorm, SwiGLU, RoPE, grouped queries) for byte and token sequences of codecs.

Two additions to the published block, both in the input only:
- conditions: one embedding table for each condition, summed into position 0 (the <bos> token); the
  last row of a table is its null class, used for dropout in training and for guidance;
- codec-aware inputs: what the grammar knows of a position (`pycodec_lm.annotate`), as eight small
  tables summed into the input of that position.

Shape suffixes:
    B rows of the batch       T new tokens of a call    S slots of the key/value cache
    D model width             H query heads             K key/value heads       N head width
    V vocabulary              C conditions              F annotation columns (8)
"""
# ruff: noqa: N803, N806  # names carry the shape of their tensor

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pycodec_lm import ops
from pycodec_lm.errors import UsageError
from pycodec_lm.models.config import ANNOTATION_SIZES, TransformerConfig
from pycodec_lm.models.kv_cache import MIN_STEP_ROWS, CacheStep, KVCache, plan_step

__all__ = ["ANNOTATION_SIZES", "KVCache", "Transformer", "TransformerConfig"]


class RMSNorm(nn.Module):
    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x_BTD: Tensor) -> Tensor:
        return F.rms_norm(x_BTD, self.weight.shape, self.weight, self.eps)


class Attention(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.n_heads, self.kv_heads = config.n_heads, config.kv_heads
        self.head_dim = config.head_dim
        width = (self.n_heads + 2 * self.kv_heads) * self.head_dim
        self.qkv = nn.Linear(config.dim, width, bias=False)
        self.out = nn.Linear(self.n_heads * self.head_dim, config.dim, bias=False)

    def forward(
        self, x_BTD: Tensor, rope: ops.RotaryTable, layer_idx: int, step: CacheStep | None
    ) -> Tensor:
        batch, n_tokens, _ = x_BTD.shape
        heads = self.qkv(x_BTD).view(batch, n_tokens, -1, self.head_dim).transpose(1, 2)
        n_rotated = self.n_heads + self.kv_heads
        v_BKTN = heads[:, n_rotated:]
        if step is None:
            q_BHTN, k_BKTN = heads[:, : self.n_heads], heads[:, self.n_heads : n_rotated]
            y_BHTN = ops.attention(q_BHTN, k_BKTN, v_BKTN, causal=True, rope=rope)
            assert isinstance(y_BHTN, Tensor)
        else:
            # The cache holds rotated keys.
            rotated = ops.rotate(heads[:, :n_rotated], rope)
            q_BHTN, k_BKTN = rotated[:, : self.n_heads], rotated[:, self.n_heads :]
            y_BHTN = step.attend(layer_idx, q_BHTN, k_BKTN, v_BKTN)
        out: Tensor = self.out(y_BHTN.transpose(1, 2).reshape(batch, n_tokens, -1))
        return out


class FeedForward(nn.Module):
    """SwiGLU (arXiv 2002.05202): down(silu(gate(x)) * up(x)), gate and up in one matrix."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.dim, 2 * config.hidden_dim, bias=False)
        self.down = nn.Linear(config.hidden_dim, config.dim, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        gate, up = self.gate_up(x_BTD).chunk(2, dim=-1)
        out: Tensor = self.down(F.silu(gate) * up)
        return out


class Block(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.dim, config.norm_eps)
        self.attention = Attention(config)
        self.feed_forward_norm = RMSNorm(config.dim, config.norm_eps)
        self.feed_forward = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x_BTD: Tensor, rope: ops.RotaryTable, layer_idx: int, step: CacheStep | None
    ) -> Tensor:
        y_BTD = self.attention(self.attention_norm(x_BTD), rope, layer_idx, step)
        x_BTD = x_BTD + self.dropout(y_BTD)
        y_BTD = self.feed_forward(self.feed_forward_norm(x_BTD))
        out: Tensor = x_BTD + self.dropout(y_BTD)
        return out


class Transformer(nn.Module):
    """The backbone: token ids, annotations and conditions in, logits of the next token out.

    Position 0 of every sequence is the <bos> token with the condition embeddings; position t holds
    token t-1 of the body, with annotation row t (where the grammar stands after t tokens).

    Example:
        >>> config = TransformerConfig(vocab_size=259, codec_inputs=False, max_seq_len=64)
        >>> model = Transformer(config).eval()
        >>> model(torch.tensor([[257, 255, 216]]), None, None).shape
        torch.Size([1, 3, 259])
    """

    cos: Tensor
    sin: Tensor
    annotation_offsets: Tensor
    condition_offsets: Tensor
    null_conditions: Tensor

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.dim)
        # The tables of the columns (and of the conditions) are stacked into one matrix: a position
        # then costs one gather of several rows instead of several gathers and sums.
        if config.codec_inputs:
            self.annotation_embedding = nn.Embedding(sum(ANNOTATION_SIZES), config.dim)
        if config.conditions:
            n_rows = sum(n_classes + 1 for _, n_classes in config.conditions)
            self.condition_embedding = nn.Embedding(n_rows, config.dim)
        self.dropout = nn.Dropout(config.dropout)
        blocks = [Block(config) for _ in range(config.n_layers)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = RMSNorm(config.dim, config.norm_eps)
        if not config.tie_embeddings:
            self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self._register_constants()
        self.apply(self._init_weights)
        for block in blocks:
            # Residual branches start small in deep stacks (arXiv 1910.10683, GPT-2's rule).
            for linear in (block.attention.out, block.feed_forward.down):
                linear.weight.data.mul_((2 * config.n_layers) ** -0.5)

    def _register_constants(self) -> None:
        config = self.config
        rope = ops.rotary_table(config.max_seq_len, config.head_dim, theta=config.rope_theta)
        constants = {
            "cos": rope.cos,
            "sin": rope.sin,
            "annotation_offsets": _starts(ANNOTATION_SIZES),
            "condition_offsets": _starts([n_classes + 1 for _, n_classes in config.conditions]),
            "null_conditions": torch.tensor(config.null_conditions, dtype=torch.int64),
        }
        for name, tensor in constants.items():
            self.register_buffer(name, tensor, persistent=False)

    @staticmethod
    def _init_weights(module: nn.Module) -> None:
        # Embeddings too are drawn with the inverse root of the width: with GPT-2's 0.02, runs of
        # small models began 4 % behind (emoji, width 96, 120 steps, one seed).
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)

    @property
    def n_parameters(self) -> int:
        """Number of trained values."""
        return sum(parameter.numel() for parameter in self.parameters())

    def embed(
        self,
        tokens_BT: Tensor,
        annotations_BTF: Tensor | None,
        conditions_BC: Tensor | None,
        positions_BT: Tensor | None,
    ) -> Tensor:
        """Input of the first block: token, annotation and (at position 0) condition embeddings."""
        batch, n_tokens = tokens_BT.shape
        x_BTD = self.token_embedding(tokens_BT)
        if self.config.codec_inputs:
            if annotations_BTF is None:
                raise UsageError("this model has codec_inputs: it needs annotations")
            rows = annotations_BTF.long() + self.annotation_offsets
            x_BTD = x_BTD + F.embedding_bag(
                rows.view(batch * n_tokens, -1), self.annotation_embedding.weight, mode="sum"
            ).view(batch, n_tokens, -1)
        if self.config.conditions:
            if conditions_BC is None:
                conditions_BC = self.null_conditions.expand(batch, -1)
            rows = conditions_BC.long() + self.condition_offsets
            c_B1D = self.condition_embedding(rows).sum(dim=1, keepdim=True)
            if positions_BT is None:
                x_BTD = torch.cat((x_BTD[:, :1] + c_B1D, x_BTD[:, 1:]), dim=1)
            else:
                x_BTD = x_BTD + c_B1D * (positions_BT == 0)[:, :, None]
        out: Tensor = self.dropout(x_BTD)
        return out

    def hidden(
        self,
        tokens_BT: Tensor,
        annotations_BTF: Tensor | None,
        conditions_BC: Tensor | None,
        cache: KVCache | None = None,
        positions_BT: Tensor | None = None,
        valid_BT: Tensor | None = None,
        *,
        is_decoding: bool = False,
    ) -> Tensor:
        """The normalised output of the last block, [B, T, D]; arguments as in `forward`.

        `is_decoding` says that no row has a valid token behind the first; nothing then has
        gradients.
        """
        n_tokens = tokens_BT.shape[1]
        step = None
        if cache is None:
            if positions_BT is not None:
                raise UsageError("positions need a cache; without one a call starts at position 0")
            if n_tokens > self.config.max_seq_len:
                raise UsageError(
                    f"{n_tokens} tokens exceed the model's max_seq_len = {self.config.max_seq_len}"
                )
            rope = ops.RotaryTable(self.cos[:n_tokens], self.sin[:n_tokens])
        else:
            if positions_BT is None:
                raise UsageError("a call with a cache needs the positions of its tokens")
            positions_BT, step = plan_step(cache, positions_BT, valid_BT, is_decoding=is_decoding)
            rope = ops.RotaryTable(self.cos[positions_BT], self.sin[positions_BT])
        x_BTD = self.embed(tokens_BT, annotations_BTF, conditions_BC, positions_BT)
        if step is not None and step.is_outside_BT is not None:
            x_BTD = x_BTD.masked_fill(step.is_outside_BT[:, :, None], torch.nan)
        for layer_idx, block in enumerate(self.blocks):
            x_BTD = block(x_BTD, rope, layer_idx, step)
        normed: Tensor = self.norm(x_BTD)
        return normed

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states [..., D] to logits [..., V]."""
        weight = self.token_embedding.weight if self.config.tie_embeddings else self.head.weight
        return F.linear(hidden, weight)

    def forward(
        self,
        tokens_BT: Tensor,
        annotations_BTF: Tensor | None,
        conditions_BC: Tensor | None,
        cache: KVCache | None = None,
        positions_BT: Tensor | None = None,
        valid_BT: Tensor | None = None,
    ) -> Tensor:
        """Logits of the next token at every position.

        Args:
            tokens_BT: integer ids; column 0 is <bos> when there is no cache.
            annotations_BTF: any integer type, column f below ANNOTATION_SIZES[f]; None when the
                config has no codec_inputs.
            conditions_BC: class numbers; None = all null. They act at position 0 only.
            cache: from `new_cache`; without one the whole sequence is given, from position 0.
            positions_BT: int64, required with a cache. Positions of a row rise by one from token to
                token, and all smaller positions of the row were given before (or are given now).
            valid_BT: bool; False marks padding on either side of a ragged chunk.

        Returns:
            logits_BTV; rows of padding are finite and meaningless.

        Raises:
            UsageError: too many tokens, a position outside the cache (on a GPU, where the host does
                not look, its logits are NaN), missing annotations.
        """
        return self.logits(
            self.hidden(tokens_BT, annotations_BTF, conditions_BC, cache, positions_BT, valid_BT)
        )

    def new_cache(self, batch: int, max_len: int, dtype: torch.dtype | None = None) -> KVCache:
        """An empty cache for sequences of at most max_len positions (<bos> included)."""
        if not 1 <= max_len <= self.config.max_seq_len:
            raise UsageError(
                f"a cache of {max_len} positions; the model has max_seq_len = "
                f"{self.config.max_seq_len}"
            )
        weight = self.token_embedding.weight
        return KVCache(self.config, batch, max_len, weight.device, dtype or weight.dtype)

    @torch.inference_mode()
    def step(
        self,
        tokens_BT: Tensor,
        annotations_BTF: Tensor | None,
        positions_BT: Tensor,
        cache: KVCache,
        valid_BT: Tensor | None = None,
        conditions_BC: Tensor | None = None,
    ) -> Tensor:
        """Feeds one ragged chunk and returns the logits after each row's last valid token.

        The first call of a row feeds <bos> at position 0 (with the prompt's tokens behind it, if
        any) and the conditions; later calls feed what was sampled and what was forced. A row's
        logits do not depend on its neighbours or on how many there are (on the CPUs measured, see
        kv_cache.py: to the last bit).

        Returns:
            logits_BV, float32. A row without a valid token gets finite, meaningless logits and its
            cache is not changed.

        Raises:
            UsageError: as in `forward`.
        """
        batch, n_tokens = tokens_BT.shape
        if valid_BT is None:
            valid_BT = torch.ones_like(tokens_BT, dtype=torch.bool)
        n_missing = -(-MIN_STEP_ROWS // batch) - n_tokens
        if n_missing > 0:
            tokens_BT, positions_BT, valid_BT = (
                F.pad(x_BT, (0, n_missing)) for x_BT in (tokens_BT, positions_BT, valid_BT)
            )
            if annotations_BTF is not None:
                annotations_BTF = F.pad(annotations_BTF, (0, 0, 0, n_missing))
        hidden_BTD = self.hidden(
            tokens_BT,
            annotations_BTF,
            conditions_BC,
            cache,
            positions_BT,
            valid_BT,
            is_decoding=n_tokens == 1,
        )
        order_T = torch.arange(1, valid_BT.shape[1] + 1, device=valid_BT.device)
        last_B = (valid_BT * order_T).argmax(dim=1)
        rows_B = torch.arange(batch, device=valid_BT.device)
        last_BD = hidden_BTD[rows_B, last_B]
        padded_BD = F.pad(last_BD, (0, 0, 0, max(0, MIN_STEP_ROWS - batch)))
        return self.logits(padded_BD)[:batch].float()


def _starts(sizes: list[int] | tuple[int, ...]) -> Tensor:
    """First row of each table in a stack of tables."""
    return torch.tensor([0, *sizes], dtype=torch.int64).cumsum(0)[: len(sizes)]
