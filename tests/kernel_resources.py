"""What the kernels take of a GPU, found by compiling them ahead of time: no GPU is needed.

    python tests/kernel_resources.py        writes tests/kernels/resources.json anew

Each kernel is compiled with the entries of kernels/configs.toml that an architecture takes, for
sm_80, sm_90 and sm_100. Registers and spills are what ptxas says, matrix instructions what the
disassembler finds.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

TABLE = Path(__file__).parent / "kernels" / "resources.json"
ARCHITECTURES = (80, 90, 100)
_BIN = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
# Multiply-add on matrices: Ampere's and Hopper's warps, Hopper's warp groups, Blackwell.
_MATRIX = re.compile(r"\b(?:HMMA|HGMMA|UTCHMMA|UTCQMMA|QGMMA|OMMA|UTCOMMA)\b")


@dataclass(frozen=True)
class Case:
    """One kernel with one configuration.

    Attributes:
        types: of its runtime arguments, as Triton spells them.
        constants: of its compile-time arguments; an argument that is None is one too.
        options: num_warps, num_stages and what else the launch gives.
    """

    name: str
    kernel: Any
    types: Mapping[str, str]
    constants: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)


def cases(arch: int) -> Iterator[Case]:
    """All kernels with the configurations that a device of this architecture takes."""
    yield from _lfq_cases(arch)
    yield from _sampling_cases(arch)
    yield from _mask_cases(arch)
    yield from _attention_cases(arch)
    yield from _decode_cases(arch)


def _config(kernel: str, arch: int, **facts: object) -> dict[str, Any]:
    from pycodec_lm.ops._configs import choose

    return choose(kernel, {"arch": arch, "dtype": "bfloat16"} | facts)


def _lfq_cases(arch: int) -> Iterator[Case]:
    from pycodec_lm.kernels import lfq, lfq_mean

    config = _config("lfq", arch)
    options = {"num_warps": config["num_warps"]}
    for dtype in ("bf16", "fp32"):
        pointers = {"z_ptr": f"*{dtype}", "quantized_ptr": f"*{dtype}"}
        yield Case(
            f"lfq {dtype}",
            lfq.quantize_kernel,
            pointers | {"indices_ptr": "*i64", "partial_ptr": "*fp32", "n_rows": "i32"},
            {
                "GROUPS": (6, 12),
                "D": 18,
                "D_BLOCK": 32,
                "LITTLE": True,
                "BLOCK_N": config["block_n"],
            },
            options,
        )
    tensors = dict.fromkeys(("z_ptr", "d_quantized_ptr", "dz_ptr"), "*bf16")
    yield Case(
        "lfq backward",
        lfq.quantize_backward_kernel,
        tensors | {"d_commitment_ptr": "*fp32", "n_values": "i32", "factor": "fp32"},
        {"BLOCK": config["block"]},
        options,
    )
    yield Case(
        "lfq entropy of bits",
        lfq_mean.entropy_kernel,
        {"z_ptr": "*fp32", "partial_ptr": "*fp32", "n_values": "i32", "scale": "fp32"},
        {"BLOCK": 1024},
        {"num_warps": 4},
    )
    bits = {"D": 18, "BITS_LOW": 9, "BITS_HIGH": 9}
    for mode, precision in (("fast", "tf32"), ("precise", "tf32x3")):
        config = _config("lfq_mean", arch, mode=mode)
        yield Case(
            f"lfq mean {precision}",
            lfq_mean.mean_kernel,
            {
                "z_ptr": "*fp32",
                "partial_ptr": "*fp32",
                **dict.fromkeys(("n_rows", "rows_per_split", "first"), "i32"),
                "scale": "fp32",
            },
            bits
            | {
                "BLOCK_N": config["block_n"],
                "BLOCK_LOW": config["block_codes"],
                "BLOCK_HIGH": config["block_codes"],
                "PRECISION": precision,
            },
            {name: config[name] for name in ("num_warps", "num_stages")},
        )
        config = _config("lfq_mean_backward", arch, mode=mode)
        yield Case(
            f"lfq mean backward {precision}",
            lfq_mean.mean_backward_kernel,
            {
                **dict.fromkeys(("z_ptr", "slope_ptr", "d_sample_ptr", "dz_ptr"), "*fp32"),
                **dict.fromkeys(("n_rows", "first_own", "first_other"), "i32"),
                **dict.fromkeys(("slope_stride_own", "slope_stride_other"), "i32"),
                **dict.fromkeys(("scale", "factor"), "fp32"),
            },
            {
                "D": 18,
                "BITS_OWN": 9,
                "BITS_OTHER": 9,
                "BLOCK_N": config["block_n"],
                "BLOCK_OWN": config["block_own"],
                "BLOCK_OTHER": config["block_other"],
                "PRECISION": precision,
            },
            {name: config[name] for name in ("num_warps", "num_stages")},
        )


def _sampling_cases(arch: int) -> Iterator[Case]:
    from pycodec_lm.kernels import cfg_sampling, cfg_sampling_two_pass

    flags = dict.fromkeys(("HAS_UNCONDITIONAL", "HAS_BITMASK", "INTERPOLATE"), True)
    inputs = {
        "logits_ptr": "*bf16",
        "unconditional_ptr": "*bf16",
        "bitmask_ptr": "*i32",
        **dict.fromkeys(("n_words", "stride_logits", "stride_unconditional"), "i32"),
        "stride_bitmask": "i32",
    }
    common = {"scale": "fp32", "n_tokens": "i32"}
    numbers = {
        "seeds_ptr": "*i64",
        "steps_ptr": "*i64",
        "temperature": "fp32",
        "top_k": "i32",
        "top_p": "fp32",
        "min_p": "fp32",
    }
    outputs = {
        "tokens_ptr": "*i64",
        "log_probs_ptr": "*fp32",
        "log_zs_ptr": "*fp32",
        "flags_ptr": "*i32",
    }
    between = {"masked_ptr": "*fp32", "partial_ptr": "*fp32"}
    no_rows = {"rows_ptr": None, "HAS_ROWS": False}
    for vocab in (2048, 8192, 16384):
        config = _config("cfg_sample", arch, vocab=vocab)
        options = {"num_warps": config["num_warps"], "enable_fp_fusion": False}
        yield Case(
            f"cfg_sample {vocab}",
            cfg_sampling.sample_kernel,
            inputs | common | numbers | outputs,
            flags | no_rows | {"BLOCK": vocab},
            options,
        )
    yield Case(
        "cfg_sample 16384, numbers of each row",
        cfg_sampling.sample_kernel,
        inputs | common | numbers | outputs | {"rows_ptr": "*fp32"},
        flags | {"HAS_ROWS": True, "BLOCK": vocab},
        options,
    )
    config = _config("cfg_sample", arch, vocab=262144)
    options = {"num_warps": config["num_warps"], "enable_fp_fusion": False}
    yield Case(
        "cfg_sample, first of two",
        cfg_sampling_two_pass.guide_kernel,
        inputs | common | between,
        flags | no_rows | {"BLOCK": config["block"]},
        options,
    )
    yield Case(
        "cfg_sample, second of two",
        cfg_sampling_two_pass.draw_kernel,
        common | numbers | between | outputs | {"n_parts": "i32"},
        no_rows | {"PARTS_BLOCK": 32, "BLOCK": config["block"]},
        options,
    )


def _mask_cases(arch: int) -> Iterator[Case]:
    from pycodec_lm.kernels import token_mask

    config = _config("token_mask", arch)
    integers = ("n_rows", "n_tokens", "n_words", "stride_row", "stride_token", "stride_bitmask")
    yield Case(
        "token mask",
        token_mask.token_mask_kernel,
        {
            "logits_ptr": "*bf16",
            "bitmask_ptr": "*i32",
            **dict.fromkeys(integers, "i32"),
            "fill": "fp32",
        },
        {"rows_ptr": None, "HAS_ROWS": False, "BLOCK": config["block"]},
        {"num_warps": config["num_warps"]},
    )


def _attention_cases(arch: int) -> Iterator[Case]:
    for dtype, width, mode, rotary in (
        ("bfloat16", 64, "full", None),
        ("bfloat16", 64, "causal", None),
        ("bfloat16", 64, "causal", "halves"),
        ("bfloat16", 64, "intervals", None),
        ("bfloat16", 64, "intervals", "interleaved"),
        ("bfloat16", 80, "causal", None),
        ("bfloat16", 80, "causal", "halves"),
        ("bfloat16", 128, "full", None),
        ("bfloat16", 128, "causal", None),
        ("bfloat16", 128, "causal", "halves"),
        ("bfloat16", 128, "causal", "interleaved"),
        ("bfloat16", 128, "intervals", "interleaved"),
        ("bfloat16", 256, "causal", None),
        ("bfloat16", 256, "full", "halves"),
        ("bfloat16", 256, "causal", "halves"),
        ("bfloat16", 256, "intervals", "interleaved"),
        ("float32", 64, "causal", None),
        ("float32", 64, "intervals", "halves"),
        ("float32", 128, "causal", None),
        ("float32", 128, "causal", "halves"),
        ("float32", 256, "causal", "halves"),
    ):
        yield from _attention_kernels(arch, dtype, width, mode, rotary)
    yield from _rotary_cases(arch)
    yield _delta_case()


_MODES = {"full": 0, "causal": 1, "intervals": 2}
_ROTARY = {None: 0, "halves": 1, "interleaved": 2}


def _attention_kernels(
    arch: int, dtype: str, width: int, mode: str, rotary: str | None
) -> Iterator[Case]:
    from pycodec_lm.kernels import attention, attention_backward

    pointer = {"bfloat16": "*bf16", "float32": "*fp32"}[dtype]
    kernels = {"forward": attention.forward_kernel}
    if mode != "full":
        kernels["query gradient"] = attention_backward.query_gradient_kernel
        kernels["key gradient"] = attention_backward.key_gradient_kernel
    asked = f"{mode}, rotary" if rotary else mode
    for name, kernel in kernels.items():
        entry = "attention" if name == "forward" else "attention_backward"
        config = _config(entry, arch, dtype=dtype, head_dim=width, mode=asked)
        types = {argument: "i32" for argument in kernel.arg_names if argument.islower()}
        types |= {argument: pointer for argument in types if argument.endswith("_ptr")}
        types |= {"slope": "fp32", "scale": "fp32", "lse_ptr": "*fp32", "delta_ptr": "*fp32"}
        types |= {"lo_ptr": "*i32", "hi_ptr": "*i32"}
        types |= {"first_query_ptr": "*i64", "last_query_ptr": "*i64"}
        if rotary is not None:
            types |= {"cos_ptr": "*fp32", "sin_ptr": "*fp32"}
        blocks = config["block_m"], config["block_n"]
        constants = {
            "H": 16,
            "K": 16,
            "GROUP": 1,
            "D": width,
            "D_BLOCK": 1 << (width - 1).bit_length(),
            "MODE": _MODES[mode],
            "ROTARY": _ROTARY[rotary],
            "BLOCK_M": blocks[1 if name == "key gradient" else 0],
            "BLOCK_N": blocks[0 if name == "key gradient" else 1],
            "PRECISION": "ieee" if dtype == "float32" else "tf32",
        }
        yield Case(
            f"attention {name} {dtype} D{width} {mode}" + (f", {rotary}" if rotary else ""),
            kernel,
            {n: t for n, t in types.items() if n in kernel.arg_names},
            constants,
            {option: config[option] for option in ("num_warps", "num_stages")},
        )


def _rotary_cases(arch: int) -> Iterator[Case]:
    from pycodec_lm.kernels import rotary

    names = [name for name in rotary.turn_kernel.arg_names if name.islower()]
    for width, pairs in ((64, "halves"), (80, "halves"), (128, "interleaved"), (256, "halves")):
        config = _config("rotary", arch, head_dim=width)
        types = {name: "*bf16" if name.endswith("_ptr") else "i32" for name in names}
        yield Case(
            f"rotary D{width} {pairs}",
            rotary.turn_kernel,
            types | {"cos_ptr": "*fp32", "sin_ptr": "*fp32"},
            {
                "H": 16,
                "K": 4,
                "D": width,
                "D_BLOCK": 1 << (width - 1).bit_length(),
                "ROTARY": _ROTARY[pairs],
                "HEADS": config["heads"],
                "BLOCK": config["block"],
            },
            {"num_warps": config["num_warps"]},
        )


def _delta_case() -> Case:
    from pycodec_lm.kernels import attention_backward

    kernel = attention_backward.delta_kernel
    pointers = {"out_ptr": "*bf16", "d_out_ptr": "*bf16", "delta_ptr": "*fp32"}
    strides = [name for name in kernel.arg_names if name.startswith("stride_")]
    return Case(
        "attention delta",
        kernel,
        pointers | dict.fromkeys([*strides, "n_queries"], "i32"),
        {"H": 16, "D": 256, "D_BLOCK": 256, "BLOCK_M": attention_backward._DELTA_ROWS},
        {"num_warps": 4},
    )


def _decode_cases(arch: int) -> Iterator[Case]:
    from pycodec_lm.kernels import attention_decode

    for width in (64, 128, 256):
        config = _config("attention_decode", arch, head_dim=width)
        names = [name for name in attention_decode.split_kernel.arg_names if name.islower()]
        types = {name: "*bf16" if name.endswith("_ptr") else "i32" for name in names}
        types |= {"lengths_ptr": "*i64", "partial_ptr": "*fp32", "partial_lse_ptr": "*fp32"}
        yield Case(
            f"attention_decode D{width}",
            attention_decode.split_kernel,
            types | {"slope": "fp32"},
            {
                "K": 8,
                "GROUP": 4,
                "GROUP_BLOCK": 16,
                "D": width,
                "D_BLOCK": width,
                "BLOCK_N": config["block_n"],
                "PRECISION": "tf32",
            },
            {option: config[option] for option in ("num_warps", "num_stages")},
        )
    yield Case(
        "attention_decode, the splits together",
        attention_decode.combine_kernel,
        {
            "partial_ptr": "*fp32",
            "partial_lse_ptr": "*fp32",
            "out_ptr": "*bf16",
            "lse_ptr": "*fp32",
            "n_splits": "i32",
        },
        # The most splits that the table asks for: one row with one key/value head.
        {
            "SPLITS_BLOCK": config["programs"],
            "D": 256,
            "D_BLOCK": 256,
            "BLOCK": attention_decode._SPLITS_AT_ONCE,
        },
        {"num_warps": 4},
    )


def compiled(case: Case, arch: int) -> Any:
    """What Triton makes of a kernel."""
    names = case.kernel.arg_names
    signature = {name: case.types.get(name, "constexpr") for name in names}
    missing = [n for n in names if n not in case.types and n not in case.constants]
    assert not missing, (case.name, missing)
    # As a launch finds it: torch's addresses are aligned, and strides mostly whole multiples of 16.
    aligned = [n for n in case.types if case.types[n].startswith("*") or n.startswith("stride_")]
    attributes = {(names.index(n),): [["tt.divisibility", 16]] for n in aligned}
    constants = {name: value for name, value in case.constants.items() if name in names}
    source = ASTSource(case.kernel, signature, constants, attributes)
    target = GPUTarget("cuda", arch, 32)
    try:
        return triton.compile(source, target=target, options=dict(case.options))
    except Exception as error:
        error.add_note(f"kernel '{case.name}' for sm_{arch}")
        raise


def with_sizes_of_one(case: Case) -> Case:
    """As a launch finds it whose sizes and strides are all 1: Triton makes constants of these."""
    ones = {name: 1 for name, kind in case.types.items() if kind == "i32"}
    types = {name: kind for name, kind in case.types.items() if name not in ones}
    return replace(case, types=types, constants={**case.constants, **ones})


def resources(case: Case, arch: int) -> dict[str, Any]:
    """Registers, spilled bytes, shared memory, and whether there are matrix instructions."""
    made = compiled(case, arch)
    with tempfile.TemporaryDirectory() as folder:
        ptx, cubin = Path(folder) / "kernel.ptx", Path(folder) / "kernel.cubin"
        ptx.write_text(made.asm["ptx"])
        cubin.write_bytes(made.asm["cubin"])
        (name,) = re.findall(r"\.target\s+(sm_\w+)", made.asm["ptx"])
        said = _run(_ptxas(arch), "-v", f"--gpu-name={name}", ptx, "-o", Path(folder) / "out")
        code = _run(_BIN / "nvdisasm", cubin)
    spilled = [int(n) for n in re.findall(r"(\d+) bytes spill (?:stores|loads)", said)]
    (registers,) = re.findall(r"Used (\d+) registers", said)
    return {
        "registers": int(registers),
        "spilled_bytes": sum(spilled),
        "shared_bytes": made.metadata.shared,
        "warps": made.metadata.num_warps,
        "matrix_instructions": bool(_MATRIX.search(code)),
    }


def _ptxas(arch: int) -> Path:
    blackwell = _BIN / "ptxas-blackwell"
    return blackwell if arch >= 100 and blackwell.exists() else _BIN / "ptxas"


def _run(*command: object) -> str:
    run = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
    return run.stdout + run.stderr


def measure(arch: int) -> dict[str, dict[str, Any]]:
    """`resources` of all kernels, by name."""
    return {case.name: resources(case, arch) for case in cases(arch)}


if __name__ == "__main__":
    found = {f"sm_{arch}": measure(arch) for arch in ARCHITECTURES}
    text = json.dumps({"triton": triton.__version__, "resources": found}, indent=1)
    TABLE.write_text(text + "\n")
    for arch_name, kernels in found.items():
        for kernel_name, values in kernels.items():
            print(arch_name, kernel_name, values)
