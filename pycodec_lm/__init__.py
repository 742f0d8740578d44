"""A runtime for language models that write pictures and video as the bytes of their files.

>>> import pycodec_lm as pcl
>>> verdict = pcl.check("photo.jpg")
>>> print(verdict.valid, verdict.message)

Importing this package loads no other: numpy, torch and the rest load with the names that need them.
"""

from __future__ import annotations

import importlib
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

# In a checkout, `python -m pycodec_lm` and `python -m pytest` find this folder before the installed
# package, and the compiled part stands only in the latter. So where it is not beside this file, the
# installed package's folder is searched too, after this one.
if PathFinder.find_spec("_core", __path__) is None:
    from pkgutil import extend_path

    __path__ = extend_path(__path__, __name__)

try:
    importlib.import_module("._core", __name__)
except ImportError as error:
    raise ImportError(
        f"the compiled part of pycodec_lm does not load: {error}; run `python -m pip install .` in"
        " the checkout"
    ) from error

# Not lazily, because the function has the name of its module: importing the module later would put
# the module in the function's place.
from .check import Verdict, check
from .errors import CodecLMError, InvalidFileError, UsageError

if TYPE_CHECKING:
    __version__: str

    from ._core import (
        ANNOTATION_SIZES,
        AvcCursor,
        BatchGrammarMatcher,
        CompiledGrammar,
        GrammarMatcher,
        JpegCursor,
        JpegWriter,
        Status,
        allocate_token_bitmask,
        annotate,
        annotate_ids,
        compile_grammar,
        read_coefficients,
        symbol_counts,
    )
    from .avc_grammar import AvcGrammar
    from .generation import GeneratedFile, generate, iter_files
    from .grammar import JpegGrammar, recode_jpeg
    from .ops import apply_token_bitmask_inplace
    from .tokenizer import ByteTokenizer
    from .tokenizer_info import TokenizerInfo

__all__ = [
    "ANNOTATION_SIZES",
    "AvcCursor",
    "AvcGrammar",
    "BatchGrammarMatcher",
    "ByteTokenizer",
    "CodecLMError",
    "CompiledGrammar",
    "GeneratedFile",
    "GrammarMatcher",
    "InvalidFileError",
    "JpegCursor",
    "JpegGrammar",
    "JpegWriter",
    "Status",
    "TokenizerInfo",
    "UsageError",
    "Verdict",
    "__version__",
    "allocate_token_bitmask",
    "annotate",
    "annotate_ids",
    "apply_token_bitmask_inplace",
    "check",
    "compile_grammar",
    "generate",
    "iter_files",
    "read_coefficients",
    "recode_jpeg",
    "symbol_counts",
]

_HOMES = {
    "._core": (
        "ANNOTATION_SIZES",
        "AvcCursor",
        "BatchGrammarMatcher",
        "CompiledGrammar",
        "GrammarMatcher",
        "JpegCursor",
        "JpegWriter",
        "Status",
        "allocate_token_bitmask",
        "annotate",
        "annotate_ids",
        "compile_grammar",
        "read_coefficients",
        "symbol_counts",
    ),
    ".avc_grammar": ("AvcGrammar",),
    ".generation": ("GeneratedFile", "generate", "iter_files"),
    ".ops": ("apply_token_bitmask_inplace",),
    ".grammar": ("JpegGrammar", "recode_jpeg"),
    ".tokenizer": ("ByteTokenizer",),
    ".tokenizer_info": ("TokenizerInfo",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name == "__version__":
        value: object = _version()
    elif name in _HOME_OF:
        value = getattr(importlib.import_module(_HOME_OF[name], __name__), name)
    else:
        raise AttributeError(f"module 'pycodec_lm' has no attribute '{name}'")
    globals()[name] = value
    return value


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pycodec_lm")
    except PackageNotFoundError:
        return "unknown (used from a checkout that is not installed)"


def __dir__() -> list[str]:
    return sorted(__all__)
