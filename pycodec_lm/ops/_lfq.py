"""Lookup-free quantisation and its entropy penalty (MAGVIT-v2, arXiv 2310.05737).

The soft assignment of a row to the 2**d sign codes, with logits 2 z.c / temperature, is a product
of d independent bits, bit i being 1 with probability sigmoid(4 z_i / temperature). So its entropy
is a sum over channels, and the mean assignment is one product of two matrices: with the codes split
into a low and a high half of their bits, a row's assignment is the outer product of two vectors of
2**(d/2) numbers. Nothing larger than the input and 2**d is kept.

Shape suffixes: N rows, D channels, C codes of a group.
"""
# ruff: noqa: N806  # names carry the shape of their tensor

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ..errors import UsageError
from . import _lfq_operators  # noqa: F401  # registers what is called here
from ._checks import check_tensors

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["LFQ", "LFQEntropy", "lfq", "lfq_entropy"]

_MAX_INDEX_BITS = 62
_MAX_CODEBOOK_BITS = 20


class LFQ(NamedTuple):
    """What `lfq` gives: quantized [..., D], indices int64 [..., G], commitment []."""

    quantized: Tensor
    indices: Tensor
    commitment: Tensor


class LFQEntropy(NamedTuple):
    """Both terms of the penalty in nats, and the share of each group's codebook in use, [G]."""

    sample: Tensor
    codebook: Tensor
    usage: Tensor


def lfq(z: Tensor, *, groups: Sequence[int] | None = None, bit_order: str = "little") -> LFQ:
    """Quantises each channel to its sign, and packs the signs into token ids.

    Args:
        z: floating point [..., D].
        groups: channels of each group, in order; None for one group of all.
        bit_order: "little" (the first channel of a group is bit 0) or "big".

    Returns:
        quantized, with the gradient straight through; indices; the commitment term, the mean of
        (z - quantized) ** 2, whose gradient goes to z alone. A NaN stays one in `quantized`.

    Raises:
        UsageError: a shape or a type does not fit.

    Source: arXiv 2310.05737, section 3.1.

    >>> import torch
    >>> lfq(torch.tensor([[0.3, -1.0, 2.0]])).indices.tolist()
    [[5]]
    """
    sizes = _groups(z, groups, _MAX_INDEX_BITS)
    if bit_order not in ("little", "big"):
        raise UsageError(f"bit_order = {bit_order!r}, must be 'little' or 'big'")
    z_ND = z.reshape(-1, z.shape[-1])
    quantized, indices, commitment = torch.ops.pycodec_lm.lfq(z_ND, sizes, bit_order == "little")
    return LFQ(quantized.view(z.shape), indices.view(*z.shape[:-1], len(sizes)), commitment)


def lfq_entropy(
    z: Tensor,
    *,
    temperature: float,
    groups: Sequence[int] | None = None,
    eps: float = 0.0,
    eps_form: str = "add",
    precise: bool = False,
    process_group: ProcessGroup | None = None,
    return_parts: bool = False,
) -> Tensor | LFQEntropy:
    """The entropy penalty E[H(q)] - H(E[q]) of sign quantisation, exactly.

    Args:
        z: floating point [..., D], at least one row.
        temperature: of the soft assignment, above 0.
        groups: channels of each group, at most 20 each; both terms are sums over groups.
        eps: 0, or as in public trainers, which take log(p + eps) ("add") or log(max(p, eps))
            ("clamp") in H(E[q]).
        eps_form: which of the two.
        precise: on a GPU, products in three TF32 pieces.
        process_group: E[q] is the mean over its ranks; ranks must average their gradients.
        return_parts: both terms and the usage in place of the difference.

    Raises:
        UsageError: a shape, a type or a number does not fit.

    Source: arXiv 2310.05737, equation 5; that it factorises is shown in docs/kernels/lfq.md.
    """
    sizes = _groups(z, groups, _MAX_CODEBOOK_BITS)
    if not 0 < temperature < math.inf:
        raise UsageError(f"temperature = {temperature}, must be above 0")
    if not 0 <= eps < 1:
        raise UsageError(f"eps = {eps}, must be in [0, 1)")
    if eps_form not in ("add", "clamp"):
        raise UsageError(f"eps_form = {eps_form!r}, must be 'add' or 'clamp'")
    z_ND = z.reshape(-1, z.shape[-1])
    if z_ND.shape[0] == 0:
        raise UsageError("z has no rows: the mean over them is not defined")
    sample, mean = torch.ops.pycodec_lm.lfq_mean_assignment(z_ND, temperature, sizes, precise)
    if process_group is not None:
        mean = _RankMean.apply(mean, process_group)  # type: ignore[no-untyped-call]
    codebook = mean.new_zeros(())
    usages = []
    for mean_C in mean.split_with_sizes([1 << size for size in sizes]):
        # It sums to 1 but for the rounding of the products, which this takes out.
        mean_C = mean_C / mean_C.sum()
        codebook = codebook + _entropy(mean_C, eps, eps_form)
        if return_parts:
            usages.append(_entropy(mean_C.detach(), 0.0, "add").exp() / mean_C.numel())
    if return_parts:
        return LFQEntropy(sample, codebook, torch.stack(usages))
    result: Tensor = sample - codebook
    return result


def _groups(z: Tensor, groups: Sequence[int] | None, most: int) -> list[int]:
    check_tensors(z=z)
    if not z.is_floating_point() or z.ndim < 1 or z.shape[-1] < 1:
        found = f"{z.dtype} {list(z.shape)}"
        raise UsageError(f"z must be a floating point tensor [..., channels], not {found}")
    if z.device.type not in ("cpu", "cuda", "meta"):
        raise UsageError(f"z is on {z.device}; there is a kernel for cuda and one for cpu")
    if z.is_cuda and z.dtype == torch.float64:
        raise UsageError("z is float64: the kernels take float32, float16 and bfloat16")
    sizes = [z.shape[-1]] if groups is None else [*groups]
    if sum(sizes) != z.shape[-1] or not all(size >= 1 for size in sizes):
        raise UsageError(f"groups {sizes} do not split {z.shape[-1]} channels")
    if max(sizes) > most:
        raise UsageError(f"a group of {max(sizes)} channels, the most is {most}: give groups=")
    return sizes


def _entropy(p: Tensor, eps: float, eps_form: str) -> Tensor:
    if eps == 0:
        # Where no row puts anything, 0 log 0 = 0 and the gradient, its limit p' log p, is 0 too.
        log_p = torch.where(p == 0, 1.0, p).log()
    elif eps_form == "add":
        log_p = (p + eps).log()
    else:
        log_p = p.clamp(min=eps).log()
    return -(p * log_p).sum()


class _RankMean(torch.autograd.Function):
    """The mean over ranks, for a loss of which each rank holds all and gradients are averaged.

    The gradient passes unchanged: a rank's share of the mean is 1 / ranks, and averaging divides by
    as much, while each rank sends back what its own rows do to the common value.
    """

    @staticmethod
    def forward(ctx: Any, mean: Tensor, process_group: ProcessGroup) -> Tensor:  # noqa: ARG004
        import torch.distributed as dist

        total = mean.clone()
        dist.all_reduce(total, group=process_group)
        return total / dist.get_world_size(process_group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004
        return gradients[0], None
