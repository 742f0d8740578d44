"""Token bitmasks put to logits: numpy arrays, and tensors on any device.

Importing this module loads neither torch nor triton.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import reference
from ..errors import UsageError
from ._configs import config_of
from ._versions import check_versions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["apply_token_bitmask", "apply_token_bitmask_inplace"]


def apply_token_bitmask_inplace(
    logits: NDArray[Any] | Tensor,
    bitmask: NDArray[np.int32] | Tensor,
    indices: Sequence[int] | Tensor | None = None,
) -> None:
    """Sets the logits of every token that is not allowed to -inf.

    Args:
        logits: floating point [V] or [B, V]; a numpy array, or a torch tensor on any device. Tokens
            beyond the bitmask become -inf too.
        bitmask: int32 [W] or [B, W] as `allocate_token_bitmask` makes it. Row i of it belongs to
            row i of the logits. It is copied to the device of the logits.
        indices: the rows to mask, each once; None for all. The others stay as they are. Of a tensor
            on a GPU, where nobody looks, numbers that are no row mask nothing.

    Raises:
        UsageError: a shape or a type does not fit.

    >>> import numpy as np
    >>> logits, bitmask = np.zeros((1, 32), np.float32), np.array([[0b101]], np.int32)
    >>> apply_token_bitmask_inplace(logits, bitmask)
    >>> np.flatnonzero(np.isfinite(logits)).tolist()
    [0, 2]
    """
    from .. import _core

    if not _is_tensor(logits):
        _core.apply_token_bitmask_inplace(
            logits, bitmask, None if indices is None else [int(row) for row in indices]
        )
        return
    import torch

    arguments = _bitmask_arguments(logits, bitmask, indices)
    logits_BV, bits_BW, rows = arguments  # noqa: N806
    if _is_plain(logits) and _has_dense_rows(logits_BV, bits_BW):
        # The same without the operator, in a tenth of its time.
        _core.apply_token_bitmask_inplace(
            logits_BV, bits_BW, None if rows is None else rows.tolist()
        )
        if not logits_BV.is_inference():
            torch.autograd.graph.increment_version(logits_BV)  # as every change in place
        return
    _register()
    torch.ops.pycodec_lm.apply_token_bitmask_(*arguments)


def apply_token_bitmask(
    logits: Tensor,
    bitmask: NDArray[np.int32] | Tensor,
    indices: Sequence[int] | Tensor | None = None,
) -> Tensor:
    """As `apply_token_bitmask_inplace`, but gives a new tensor, and gradients pass through.

    Returns:
        The masked logits; the gradient of a masked one is 0.
    """
    if not _is_tensor(logits):
        raise UsageError(f"logits must be a torch tensor, not {type(logits).__name__}")
    import torch

    arguments = _bitmask_arguments(logits, bitmask, indices)
    if not logits.is_cuda and not logits.requires_grad and not torch.compiler.is_compiling():
        # The same without the operator, whose first call imports torch's compiler: seconds.
        return reference.apply_token_bitmask(*arguments).view(logits.shape)
    _register()
    result: Tensor = torch.ops.pycodec_lm.apply_token_bitmask(*arguments)
    return result.view(logits.shape)


def _register() -> None:
    """Registers the operators with torch, once."""
    import torch

    if hasattr(torch.ops.pycodec_lm, "apply_token_bitmask"):
        return
    from ._gpu import on_its_device

    check_versions()

    @on_its_device
    def fill_on_gpu(
        logits: Tensor, bitmask: Tensor, rows: Tensor | None, fill: float = -math.inf
    ) -> None:
        import pycodec_lm.kernels.token_mask as kernels

        config = config_of("token_mask", logits)
        kernels.apply_token_bitmask_inplace(logits, bitmask, rows, fill, **config)

    def mask(
        logits: Tensor, bitmask: Tensor, rows: Tensor | None, fill: float = -math.inf
    ) -> Tensor:
        if not logits.is_cuda:
            return reference.apply_token_bitmask(logits, bitmask, rows, fill)
        masked = logits.clone(memory_format=torch.contiguous_format)
        fill_on_gpu(masked, bitmask, rows, fill)
        return masked

    def mask_inplace(logits: Tensor, bitmask: Tensor, rows: Tensor | None) -> None:
        if logits.is_cuda:
            fill_on_gpu(logits, bitmask, rows)
        else:
            logits.copy_(reference.apply_token_bitmask(logits, bitmask, rows))

    def save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001
        _, ctx.bitmask, ctx.rows = inputs

    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return mask(gradient, ctx.bitmask, ctx.rows, fill=0.0), None, None

    # Schemas are spelled out because torch cannot read annotations that are not evaluated.
    schema = "(Tensor logits, Tensor bitmask, Tensor? rows) -> Tensor"
    masked = torch.library.custom_op(
        "pycodec_lm::apply_token_bitmask",
        lambda logits, bitmask, rows: mask(logits, bitmask, rows),
        mutates_args=(),
        schema=schema,
    )
    # Tracers ask for the shape and the type of the result only.
    masked.register_fake(lambda logits, bitmask, rows: logits.new_empty(logits.shape))  # noqa: ARG005
    masked.register_autograd(backward, setup_context=save)
    inplace = torch.library.custom_op(
        "pycodec_lm::apply_token_bitmask_",
        mask_inplace,
        mutates_args=("logits",),
        schema="(Tensor(a!) logits, Tensor bitmask, Tensor? rows) -> ()",
    )
    inplace.register_fake(lambda logits, bitmask, rows: None)  # noqa: ARG005


def _bitmask_arguments(
    logits: Any, bitmask: Any, indices: Any
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Two-dimensional tensors on the device of the logits; views wherever that is possible."""
    import torch

    bits = bitmask if isinstance(bitmask, torch.Tensor) else torch.from_numpy(bitmask)
    if not logits.is_floating_point() or logits.ndim not in (1, 2):
        raise UsageError(
            f"logits must be floating point [V] or [B, V], not {logits.dtype} {list(logits.shape)}"
        )
    if bits.dtype != torch.int32 or bits.ndim not in (1, 2):
        raise UsageError(
            f"a bitmask must be int32 [W] or [B, W], not {bits.dtype} {list(bits.shape)}"
        )
    logits_BV = logits if logits.ndim == 2 else logits[None]  # noqa: N806
    bits_BW = bits if bits.ndim == 2 else bits[None]  # noqa: N806
    n_rows = logits_BV.shape[0]
    if bits_BW.shape[0] != n_rows:
        raise UsageError(f"a bitmask of {bits_BW.shape[0]} rows for logits of {n_rows}")
    rows = None if indices is None else _rows_of(indices, n_rows).to(logits.device)
    return logits_BV, bits_BW.to(logits.device, non_blocking=True), rows


def _rows_of(indices: Any, n_rows: int) -> Tensor:
    """Rows to mask, int32 or int64 [n]; checked where that costs no look at a GPU."""
    import torch

    rows = indices
    if not isinstance(rows, torch.Tensor):
        rows = torch.tensor([*indices], dtype=None if len(indices) else torch.int64)
    if rows.dtype not in (torch.int32, torch.int64) or rows.ndim != 1:
        raise UsageError(f"indices must be int32 or int64 [n], not {rows.dtype} {list(rows.shape)}")
    # A look at what is on a GPU would stall it, and a tracer has no numbers.
    is_seen = rows.is_cpu and not torch.compiler.is_compiling()
    if is_seen and bool(((rows < 0) | (rows >= n_rows)).any()):
        raise UsageError(f"indices {rows.tolist()} for logits of {n_rows} rows")
    return rows


def _is_plain(logits: Any) -> bool:
    """A tensor of numbers in memory that nobody traces or differentiates."""
    import torch

    return (
        type(logits) is torch.Tensor
        and logits.is_cpu
        and logits.dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64)
        and not logits.requires_grad
        and not torch.compiler.is_compiling()
    )


def _has_dense_rows(*matrices: Tensor) -> bool:
    return all(m.stride(1) == 1 and m.stride(0) >= m.shape[1] for m in matrices)


def _is_tensor(value: object) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


# torch.compile can trace a call of an operator, but not its registration.
if "torch" in sys.modules:
    _register()
