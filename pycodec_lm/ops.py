"""The door to everything that runs on tensors: picks the implementation, does no math itself.

Importing this module loads neither torch nor triton. The operators are registered with torch, as
`torch.ops.pycodec_lm.*`: now, if torch is there already, or when a tensor first needs them.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any

from .errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["apply_token_bitmask", "apply_token_bitmask_inplace", "version_problem"]

# torch compiles with the Triton release it was built for, and the wheels for GPUs ask for exactly
# that one; CPU wheels ask for none, so that any may stand beside them.
_TRITON_OF_TORCH = {(2, 11): "3.6.0", (2, 12): "3.7.0", (2, 13): "3.7.1"}


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
        indices: the rows to mask, each once; None for all. The others stay as they are.

    Raises:
        UsageError: a shape or a type does not fit.

    >>> import numpy as np
    >>> logits, bitmask = np.zeros((1, 32), np.float32), np.array([[0b101]], np.int32)
    >>> apply_token_bitmask_inplace(logits, bitmask)
    >>> np.flatnonzero(np.isfinite(logits)).tolist()
    [0, 2]
    """
    from . import _core

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
        from . import reference

        return reference.apply_token_bitmask(*arguments).view(logits.shape)
    _register()
    result: Tensor = torch.ops.pycodec_lm.apply_token_bitmask(*arguments)
    return result.view(logits.shape)


def version_problem(torch: str, triton: str | None) -> str | None:
    """What is wrong with the installed versions of torch and triton, and what to install.

    Args:
        torch, triton: versions as `importlib.metadata` gives them; None where there is none.

    Returns:
        One line, or None where they fit.
    """
    release = _release(torch)
    if release not in _TRITON_OF_TORCH:
        first, last = min(_TRITON_OF_TORCH), max(_TRITON_OF_TORCH)
        return (
            f"torch {torch} is not one of the versions that this package works with: run `python"
            f" -m pip install 'torch>={first[0]}.{first[1]},<{last[0]}.{last[1] + 1}'`"
        )
    wanted = _TRITON_OF_TORCH[release]
    if triton is not None and _release(triton) != _release(wanted):
        return (
            f"triton {triton} does not fit torch {torch}: run"
            f" `python -m pip install triton=={wanted}`"
        )
    return None


def _register() -> None:
    """Registers the operators with torch, once."""
    import torch

    if hasattr(torch.ops.pycodec_lm, "apply_token_bitmask"):
        return
    problem = version_problem(_version("torch") or torch.__version__, _version("triton"))
    if problem is not None:
        warnings.warn(problem, RuntimeWarning, stacklevel=3)

    from . import reference

    def mask(logits: Tensor, bitmask: Tensor, rows: Tensor | None) -> Tensor:
        return reference.apply_token_bitmask(logits, bitmask, rows)

    def mask_inplace(logits: Tensor, bitmask: Tensor, rows: Tensor | None) -> None:
        logits.copy_(reference.apply_token_bitmask(logits, bitmask, rows))

    def save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001
        _, ctx.bitmask, ctx.rows = inputs

    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        masked = reference.apply_token_bitmask(gradient, ctx.bitmask, ctx.rows, fill=0.0)
        return masked, None, None

    # Schemas are spelled out because torch cannot read annotations that are not evaluated.
    schema = "(Tensor logits, Tensor bitmask, Tensor? rows) -> Tensor"
    masked = torch.library.custom_op(
        "pycodec_lm::apply_token_bitmask", mask, mutates_args=(), schema=schema
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
    rows = None
    if isinstance(indices, torch.Tensor):
        rows = indices  # torch itself complains while it indexes: a look now would stall a GPU
    elif indices is not None:
        if not all(0 <= row < n_rows for row in indices):
            raise UsageError(f"indices {[*indices]} for logits of {n_rows} rows")
        rows = torch.tensor([*indices], dtype=torch.int64, device=logits.device)
    return logits_BV, bits_BW.to(logits.device, non_blocking=True), rows


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


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _release(version: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    return tuple(int(part) for part in version.split(".")[:2])


# torch.compile can trace a call of an operator, but not its registration.
if "torch" in sys.modules:
    _register()
