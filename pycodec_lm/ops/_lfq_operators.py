"""The operators behind `lfq` and `lfq_entropy`: CPU twins, kernels, fakes, gradients.

Shape suffixes: N rows, D channels, d channels of a group, G groups, C codes of a group, L and H
codes of its low and high half.
"""
# ruff: noqa: N803, N806  # names carry the shape of their tensor

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ._configs import config_of
from ._gpu import on_its_device
from ._versions import check_versions

# Rows of half products that the CPU holds at once: 2 x 1024 x 512 numbers at d = 18 stay in cache.
_CHUNK_ROWS = 1024

check_versions()


def _work_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _quantize(z_ND: Tensor, groups: list[int], little: bool) -> tuple[Tensor, Tensor, Tensor]:
    bits_ND = (z_ND > 0).long()
    places = [i if little else size - 1 - i for size in groups for i in range(size)]
    shifted_ND = bits_ND << torch.tensor(places, device=z_ND.device)
    indices_NG = torch.stack(
        [part.sum(dim=1) for part in shifted_ND.split_with_sizes(groups, dim=1)], dim=1
    )
    quantized_ND = torch.where(z_ND.isnan(), z_ND, (2 * bits_ND - 1).to(z_ND.dtype))
    work = _work_dtype(z_ND.dtype)
    commitment = (z_ND.to(work) - quantized_ND.to(work)).square().mean()
    return quantized_ND.contiguous(), indices_NG, commitment


def _quantize_backward(z_ND: Tensor, d_quantized_ND: Tensor, d_commitment: Tensor) -> Tensor:
    work = _work_dtype(z_ND.dtype)
    z = z_ND.to(work)
    distance = z - torch.where(z.isnan(), z, (z > 0).to(work) * 2 - 1)
    factor = 2.0 / max(1, z.numel())
    return (d_quantized_ND + d_commitment * factor * distance).to(z_ND.dtype).contiguous()


def _bits(z_Nd: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of the bits of a group, and the probabilities that they are 1 and 0."""
    logits = z_Nd.to(_work_dtype(z_Nd.dtype)) * (4 / temperature)
    return logits, logits.sigmoid(), (-logits).sigmoid()


def _half_products(one_Nd: Tensor, zero_Nd: Tensor) -> Tensor:
    """Probabilities of all codes of some bits, [N, 2 ** d]; the first channel is bit 0."""
    # What is below the root of the smallest normal number is dropped: products of what is left are
    # normal. Others cost a processor a hundred times as much, and change no digit of the sums.
    least = torch.finfo(one_Nd.dtype).tiny ** 0.5
    threshold = torch.nn.functional.threshold
    products = one_Nd.new_ones(len(one_Nd), 1)
    for one_N, zero_N in zip(one_Nd.unbind(1), zero_Nd.unbind(1), strict=True):
        both = (products * threshold(p_N, least, 0.0)[:, None] for p_N in (zero_N, one_N))
        products = threshold(torch.cat([*both], dim=1), least, 0.0)
    return products


def _chunks(z_ND: Tensor, groups: list[int]) -> Iterator[tuple[int, slice, slice, Tensor]]:
    """(group, its channels, rows, z of both) of pieces small enough to work on."""
    first = 0
    for group, size in enumerate(groups):
        channels = slice(first, first + size)
        first += size
        for start in range(0, len(z_ND), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            yield group, channels, rows, z_ND[rows, channels]


def _mean_assignment(
    z_ND: Tensor,
    temperature: float,
    groups: list[int],
    precise: bool,  # noqa: ARG001
) -> tuple[Tensor, Tensor]:
    work = _work_dtype(z_ND.dtype)
    sample = torch.zeros((), dtype=torch.float64)
    means = [z_ND.new_zeros(1 << (size - size // 2), 1 << size // 2, dtype=work) for size in groups]
    for group, _, _, z_Nd in _chunks(z_ND, groups):
        logits, one, zero = _bits(z_Nd, temperature)
        # H(bit) = softplus(-|l|) + |l| sigmoid(-|l|)
        size = logits.abs()
        sample += (torch.nn.functional.softplus(-size) + size * (-size).sigmoid()).sum().double()
        n_low = z_Nd.shape[1] // 2
        low_NL = _half_products(one[:, :n_low], zero[:, :n_low])
        high_NH = _half_products(one[:, n_low:], zero[:, n_low:])
        means[group].addmm_(high_NH.T, low_NL)
    mean = torch.cat([mean_HL.flatten() for mean_HL in means]) / len(z_ND)
    return (sample / len(z_ND)).to(work), mean


def _mean_assignment_backward(
    z_ND: Tensor,
    d_sample: Tensor,
    d_mean: Tensor,
    temperature: float,
    groups: list[int],
    precise: bool,  # noqa: ARG001
) -> Tensor:
    work = _work_dtype(z_ND.dtype)
    dz_ND = z_ND.new_empty(z_ND.shape, dtype=work)
    slopes = [
        # Each row's assignment sums to 1, so a constant changes nothing but the rounding.
        (d_C - d_C.mean()).view(-1, 1 << size // 2)
        for d_C, size in zip(d_mean.split_with_sizes([1 << g for g in groups]), groups, strict=True)
    ]
    for group, channels, rows, z_Nd in _chunks(z_ND, groups):
        logits, one, zero = _bits(z_Nd, temperature)
        n_low = z_Nd.shape[1] // 2
        low_NL = _half_products(one[:, :n_low], zero[:, :n_low])
        high_NH = _half_products(one[:, n_low:], zero[:, n_low:])
        slope_HL = slopes[group]
        d_logits = torch.cat(
            (
                _to_bits(low_NL * (high_NH @ slope_HL), one[:, :n_low]),
                _to_bits(high_NH * (low_NL @ slope_HL.T), one[:, n_low:]),
            ),
            dim=1,
        )
        dz_ND[rows, channels] = d_logits - d_sample * logits * one * zero
    return (dz_ND * (4 / temperature / len(z_ND))).to(z_ND.dtype)


def _to_bits(weights_NC: Tensor, one_Nd: Tensor) -> Tensor:
    """Slopes by the logits of bits, from those of the codes times their probabilities.

    d/dl of a product of probabilities is the product times (bit - p).
    """
    n_bits = one_Nd.shape[1]
    codes_C = torch.arange(weights_NC.shape[1], device=weights_NC.device)[:, None]
    bits_Cd = (codes_C >> torch.arange(n_bits, device=weights_NC.device) & 1).to(weights_NC.dtype)
    return weights_NC @ bits_Cd - one_Nd * weights_NC.sum(dim=1, keepdim=True)


# On a GPU: the same by the kernels.


def _quantize_on_gpu(
    z_ND: Tensor, groups: list[int], little: bool
) -> tuple[Tensor, Tensor, Tensor]:
    import pycodec_lm.kernels.lfq as kernels

    config = config_of("lfq", z_ND)
    result: tuple[Tensor, Tensor, Tensor] = kernels.quantize(z_ND, groups, little, **config)
    return result


def _quantize_backward_on_gpu(z_ND: Tensor, d_quantized_ND: Tensor, d_commitment: Tensor) -> Tensor:
    import pycodec_lm.kernels.lfq as kernels

    config = config_of("lfq", z_ND)
    result: Tensor = kernels.quantize_backward(z_ND, d_quantized_ND, d_commitment, **config)
    return result


def _mean_assignment_on_gpu(
    z_ND: Tensor, temperature: float, groups: list[int], precise: bool
) -> tuple[Tensor, Tensor]:
    import pycodec_lm.kernels.lfq_mean as kernels

    config = config_of("lfq_mean", z_ND, mode="precise" if precise else "fast")
    result: tuple[Tensor, Tensor] = kernels.mean_assignment(
        z_ND, temperature, groups, precise, **config
    )
    return result


def _mean_assignment_backward_on_gpu(
    z_ND: Tensor,
    d_sample: Tensor,
    d_mean: Tensor,
    temperature: float,
    groups: list[int],
    precise: bool,
) -> Tensor:
    import pycodec_lm.kernels.lfq_mean as kernels

    config = config_of("lfq_mean_backward", z_ND, mode="precise" if precise else "fast")
    result: Tensor = kernels.mean_assignment_backward(
        z_ND, d_sample, d_mean, temperature, groups, precise, **config
    )
    return result


# Schemas are spelled out because torch cannot read annotations that are not evaluated.


def _define() -> None:
    library = torch.library
    quantize = library.custom_op(
        "pycodec_lm::lfq",
        _quantize,
        mutates_args=(),
        device_types="cpu",
        schema="(Tensor z, int[] groups, bool little) -> (Tensor, Tensor, Tensor)",
    )
    quantize_backward = library.custom_op(
        "pycodec_lm::lfq_backward",
        _quantize_backward,
        mutates_args=(),
        device_types="cpu",
        schema="(Tensor z, Tensor d_quantized, Tensor d_commitment) -> Tensor",
    )
    assign = library.custom_op(
        "pycodec_lm::lfq_mean_assignment",
        _mean_assignment,
        mutates_args=(),
        device_types="cpu",
        schema="(Tensor z, float temperature, int[] groups, bool precise) -> (Tensor, Tensor)",
    )
    assign_backward = library.custom_op(
        "pycodec_lm::lfq_mean_assignment_backward",
        _mean_assignment_backward,
        mutates_args=(),
        device_types="cpu",
        schema="(Tensor z, Tensor d_sample, Tensor d_mean, float temperature, int[] groups,"
        " bool precise) -> Tensor",
    )

    quantize.register_kernel("cuda")(on_its_device(_quantize_on_gpu))
    quantize_backward.register_kernel("cuda")(on_its_device(_quantize_backward_on_gpu))
    assign.register_kernel("cuda")(on_its_device(_mean_assignment_on_gpu))
    assign_backward.register_kernel("cuda")(on_its_device(_mean_assignment_backward_on_gpu))

    # For tracers: shapes and types alone.

    @quantize.register_fake
    def _(z_ND: Tensor, groups: list[int], little: bool) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG001
        return (
            z_ND.new_empty(z_ND.shape),
            z_ND.new_empty((z_ND.shape[0], len(groups)), dtype=torch.int64),
            z_ND.new_empty((), dtype=_work_dtype(z_ND.dtype)),
        )

    @quantize_backward.register_fake
    def _(z_ND: Tensor, d_quantized_ND: Tensor, d_commitment: Tensor) -> Tensor:  # noqa: ARG001
        return z_ND.new_empty(z_ND.shape)

    @assign.register_fake
    def _(
        z_ND: Tensor,
        temperature: float,  # noqa: ARG001
        groups: list[int],
        precise: bool,  # noqa: ARG001
    ) -> tuple[Tensor, Tensor]:
        work = _work_dtype(z_ND.dtype)
        n_codes = sum(1 << size for size in groups)
        return z_ND.new_empty((), dtype=work), z_ND.new_empty(n_codes, dtype=work)

    @assign_backward.register_fake
    def _(z_ND: Tensor, *arguments: Any) -> Tensor:  # noqa: ARG001
        return z_ND.new_empty(z_ND.shape)

    # Gradients.

    def save_quantize(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG001
        ctx.save_for_backward(inputs[0])

    def quantize_gradient(ctx: Any, d_quantized: Tensor, _: Any, d_commitment: Tensor) -> Any:
        (z_ND,) = ctx.saved_tensors
        return quantize_backward(z_ND, d_quantized, d_commitment), None, None

    def save_assign(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG001
        ctx.save_for_backward(inputs[0])
        ctx.arguments = inputs[1:]

    def assign_gradient(ctx: Any, d_sample: Tensor, d_mean: Tensor) -> Any:
        (z_ND,) = ctx.saved_tensors
        dz_ND = assign_backward(z_ND, d_sample, d_mean, *ctx.arguments)
        return dz_ND, None, None, None

    quantize.register_autograd(quantize_gradient, setup_context=save_quantize)
    assign.register_autograd(assign_gradient, setup_context=save_assign)


_define()
