"""Times of operators beside other ways to the same result, all of them checked first.

Every implementation takes its turn in every round, on inputs that rotate, so that what else the
machine does falls on all alike and no cache holds an input.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import CodecLMError
from .measure import Spread

__all__ = [
    "OURS",
    "OpCase",
    "OpTimes",
    "Rates",
    "assert_near",
    "device_rates",
    "measure_case",
    "n_inputs_of",
]

OURS = "pycodec_lm"
_WARM_UP = 3
_COPY_BYTES = 1 << 27
_RATE_ROUNDS = 9
_LEAST_INPUTS, _MOST_INPUTS = 3, 64
# Inputs beyond these are timed only; a check may take a second.
_N_CHECKED = 4
# Long enough for the host to bring a call of many launches on its way.
_HEAD_START_CYCLES = 2_000_000


@dataclass(frozen=True)
class OpCase:
    """One operator on inputs of one size.

    Attributes:
        name: what is done, and its sizes.
        inputs: several sets of arguments, which rounds take in turns.
        run: implementations by name; ours is OURS.
        check: raises CodecLMError where a result of some arguments is not right, and else gives
            its error, a share of the largest number.
        least_bytes: what has to be read and written at least.
        flops: of the products of matrices; 0 where there are none that count.
    """

    name: str
    inputs: Sequence[Any]
    run: Mapping[str, Callable[[Any], Any]]
    check: Callable[[Any, Any], float]
    least_bytes: int
    flops: int = 0


@dataclass(frozen=True)
class Rates:
    """What the machine does at best, measured in the same process.

    Attributes:
        copy_bytes_per_us: bytes read and written by copies of 128 MiB.
        flops_per_us: of the product of two large square matrices.
        matrices: what these were.
        launch_us: one launch that does next to nothing.
    """

    copy_bytes_per_us: float
    flops_per_us: float
    matrices: str
    launch_us: float


@dataclass(frozen=True)
class OpTimes:
    """Microseconds of each implementation; `wrong` says why others are not timed.

    Attributes:
        errors: of each implementation, a share of the largest number.
        peak_bytes: beside inputs, on a GPU; empty without one.
        copy_shares: of the time that copying the least traffic takes, in the median.
        matrix_shares: of the time that products of matrices take at the measured rate.
    """

    name: str
    times: dict[str, Spread]
    wrong: dict[str, str]
    errors: dict[str, float]
    peak_bytes: dict[str, int]
    least_bytes: int
    flops: int
    copy_shares: dict[str, float]
    matrix_shares: dict[str, float]

    @property
    def ratios(self) -> dict[str, float]:
        """How many times our median each other one takes."""
        ours = self.times[OURS].median
        return {name: t.median / ours for name, t in self.times.items() if name != OURS}

    @property
    def fastest(self) -> str:
        """The implementation with the least median."""
        return min(self.times, key=lambda name: self.times[name].median)


def measure_case(case: OpCase, rounds: int, rates: Rates) -> OpTimes:
    """Checks every implementation, and times those that are right.

    Raises:
        CodecLMError: our own result is wrong; nothing is timed then.
    """
    runs: dict[str, Callable[[Any], Any]] = {}
    wrong: dict[str, str] = {}
    errors: dict[str, float] = {}
    peak_bytes: dict[str, int] = {}
    for name, run in case.run.items():
        try:
            checked = case.inputs[:_N_CHECKED]
            errors[name] = max(case.check(run(arguments), arguments) for arguments in checked)
            if torch.cuda.is_available():
                peak_bytes[name] = _peak_bytes(run, case.inputs[0])
        except Exception as error:
            # A peer may raise whatever it likes: the table says what.
            if name == OURS and isinstance(error, CodecLMError):
                raise CodecLMError(f"{case.name}: {error}") from error
            if name == OURS:
                raise
            kind = "" if isinstance(error, CodecLMError) else f"{type(error).__name__}: "
            wrong[name] = kind + str(error).partition("\n")[0]
            errors.pop(name, None)
        else:
            runs[name] = run
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(-_WARM_UP, rounds):
        for shift, (name, run) in enumerate(runs.items()):
            micros = _time(run, case.inputs[(i + shift) % len(case.inputs)])
            if i >= 0:
                spent[name].append(micros)
    times = {name: Spread.of(values) for name, values in spent.items()}
    copying, multiplying = (
        case.least_bytes / rates.copy_bytes_per_us,
        case.flops / rates.flops_per_us,
    )
    return OpTimes(
        case.name,
        times,
        wrong,
        errors,
        peak_bytes,
        case.least_bytes,
        case.flops,
        {name: copying / t.median for name, t in times.items()},
        {name: multiplying / t.median for name, t in times.items()},
    )


def _peak_bytes(run: Callable[[Any], Any], arguments: Any) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run(arguments)
    return int(torch.cuda.max_memory_allocated()) - before


def n_inputs_of(n_bytes: int) -> int:
    """How many sets of arguments of so many bytes no cache of a GPU holds."""
    if not torch.cuda.is_available():
        return _LEAST_INPUTS
    properties: Any = torch.cuda.get_device_properties(torch.cuda.current_device())
    enough = -(-2 * int(properties.L2_cache_size) // max(1, n_bytes))
    return max(_LEAST_INPUTS, min(_MOST_INPUTS, enough))


def device_rates() -> Rates:
    """Rates of the GPU, or of the CPU where there is none; medians."""
    is_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if is_gpu else "cpu")
    source = torch.ones(_COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copying = _median(target.copy_, source)
    size, dtype = (8192, torch.bfloat16) if is_gpu else (1024, torch.float32)
    matrix = torch.randn(size, size, device=device).to(dtype)
    multiplying = _median(lambda x: x @ x, matrix)
    return Rates(
        2 * _COPY_BYTES / copying,
        2 * size**3 / multiplying,
        f"{size} x {size} {str(dtype).removeprefix('torch.')}",
        _median(lambda x: x.add_(1), torch.zeros(1, device=device)),
    )


def _median(run: Callable[[Any], Any], arguments: Any) -> float:
    for _ in range(_WARM_UP):
        _time(run, arguments)
    return Spread.of([_time(run, arguments) for _ in range(_RATE_ROUNDS)]).median


def _time(run: Callable[[Any], Any], arguments: Any) -> float:
    """Microseconds; on a GPU between two events of its stream."""
    if not torch.cuda.is_available():
        start = time.perf_counter_ns()
        run(arguments)
        return (time.perf_counter_ns() - start) / 1e3
    torch.cuda.synchronize()
    event: Any = torch.cuda.Event
    spin: Any = torch.cuda._sleep
    before, after = event(enable_timing=True), event(enable_timing=True)
    # The GPU is kept busy while the host calls: times are of kernels, not of Python.
    spin(_HEAD_START_CYCLES)
    before.record()
    run(arguments)
    after.record()
    after.synchronize()
    return 1e3 * float(before.elapsed_time(after))


def assert_near(found: Tensor, expected: Tensor, tolerance: float, what: str) -> float:
    """The largest difference of two tensors as a share of the largest number expected.

    Raises:
        CodecLMError: it is larger than `tolerance`, or is no number.
    """
    error = float((found.double() - expected.double()).abs().max())
    size = float(expected.double().abs().max())
    if not error <= tolerance * size:
        raise CodecLMError(f"{what} is off by {error:.3g}, of {size:.3g}")
    return error / size if size else 0.0
