"""bfloat16 for Triton's interpreter, which takes its bits for whole numbers and rounds none.

Here a bfloat16 is held as the float32 of the same value, and every result is rounded to the nearest
one that bfloat16 can hold, of two the even one, as a GPU does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import triton.language as tl
from numpy.typing import NDArray
from triton.runtime import interpreter

__all__ = ["bits_of", "install", "values_of"]

_numpy_type_of_triton: Callable[[Any], np.dtype[Any]] = interpreter._get_np_dtype
_has_room_in_triton: Callable[[Any, Any], bool] = interpreter._validate_np_data_size
_QUIET_NAN = 0x7FC0


def values_of(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """What bits of bfloat16 stand for: the upper half of a float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def bits_of(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The bits of the nearest bfloat16."""
    whole = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    rounded = (whole + 0x7FFF + (whole >> 16 & 1)) >> 16
    return np.where(np.isnan(values), _QUIET_NAN, rounded).astype(np.uint16).reshape(values.shape)


def _is_bfloat16(handle: Any) -> bool:
    return bool(handle.dtype.scalar == tl.bfloat16)


def _rounded(handle: Any) -> Any:
    """A result as bfloat16 holds it; comparisons come with its type too, and stay booleans."""
    if _is_bfloat16(handle) and handle.data.dtype != np.bool_:
        handle.data = values_of(bits_of(handle.data.astype(np.float32)))
    return handle


class _Builder(interpreter.InterpreterBuilder):  # type: ignore[misc]
    """Loads and stores bits, computes with values."""

    def create_masked_load(
        self, pointers: Any, mask: Any, other: Any, cache: Any, eviction: Any, is_volatile: Any
    ) -> Any:
        if pointers.get_element_ty() != tl.bfloat16:
            return super().create_masked_load(pointers, mask, other, cache, eviction, is_volatile)
        fill = np.zeros(pointers.data.shape, np.uint16)
        if other is not None:
            fill[...] = bits_of(other.data)
        bits = interpreter._interpreter.load(pointers.data, mask.data, fill, np.dtype(np.uint16))
        return interpreter.TensorHandle(values_of(bits), tl.bfloat16)

    def create_masked_store(
        self, pointers: Any, value: Any, mask: Any, cache: Any, eviction: Any
    ) -> Any:
        if _is_bfloat16(value):
            value = interpreter.TensorHandle(bits_of(value.data), tl.uint16)
        return super().create_masked_store(pointers, value, mask, cache, eviction)

    def cast_impl(self, source: Any, target: Any) -> Any:
        if target.scalar == tl.bfloat16:
            return _rounded(interpreter.TensorHandle(source.data.astype(np.float32), tl.bfloat16))
        if _is_bfloat16(source):
            data = source.data.astype(_numpy_type_of_triton(target))
            return interpreter.TensorHandle(data, target.scalar)
        return super().cast_impl(source, target)

    def create_fp_to_fp(self, source: Any, target: Any, rounding: Any) -> Any:
        if tl.bfloat16 in (source.dtype.scalar, target.scalar):
            return self.cast_impl(source, target)
        return super().create_fp_to_fp(source, target, rounding)

    def create_bitcast(self, source: Any, target: Any) -> Any:
        if _is_bfloat16(source):
            source = interpreter.TensorHandle(bits_of(source.data), tl.uint16)
        if target.scalar == tl.bfloat16:
            return interpreter.TensorHandle(values_of(source.data.view(np.uint16)), tl.bfloat16)
        return super().create_bitcast(source, target)

    def create_fabs(self, value: Any) -> Any:
        if not _is_bfloat16(value):
            return super().create_fabs(value)
        return interpreter.TensorHandle(np.abs(value.data), tl.bfloat16)

    def create_fma(self, x: Any, y: Any, z: Any) -> Any:
        return _rounded(super().create_fma(x, y, z))

    def unary_op(self, *arguments: Any) -> Any:
        return _rounded(super().unary_op(*arguments))

    def binary_op(self, *arguments: Any) -> Any:
        return _rounded(super().binary_op(*arguments))

    def ternary_op(self, *arguments: Any) -> Any:
        return _rounded(super().ternary_op(*arguments))

    def get_bf16(self, value: float) -> Any:
        return _rounded(interpreter.TensorHandle(np.array([value], np.float32), tl.bfloat16))


def _numpy_type(triton_type: Any) -> np.dtype[Any]:
    if not triton_type.is_ptr() and triton_type.scalar == tl.bfloat16:
        return np.dtype(np.float32)
    return _numpy_type_of_triton(triton_type)


def _has_room(data: Any, triton_type: Any) -> bool:
    return triton_type.scalar == tl.bfloat16 or _has_room_in_triton(data, triton_type)


def install() -> None:
    """Makes bfloat16 right in this process, for good."""
    interpreter._get_np_dtype = _numpy_type
    interpreter._validate_np_data_size = _has_room
    interpreter.interpreter_builder.__class__ = _Builder
