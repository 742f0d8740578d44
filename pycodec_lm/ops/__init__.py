"""The door to everything that runs on tensors: picks the implementation, does little math itself.

A tensor on a GPU takes a Triton kernel, a tensor on the CPU its twin in torch. docs/ops.md has all
signatures. Importing this package loads neither torch nor triton: the operators are registered with
torch, as `torch.ops.pycodec_lm.*`, when torch is there already, or when one is first asked for.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from ._token_mask import apply_token_bitmask, apply_token_bitmask_inplace
from ._versions import version_problem

if TYPE_CHECKING:
    from ._attention import attention, attention_decode
    from ._lfq import LFQ, LFQEntropy, lfq, lfq_entropy
    from ._rotary import RotaryTable, rotary_table, rotate
    from ._sampling import Sampled, cfg_sample

__all__ = [
    "LFQ",
    "LFQEntropy",
    "RotaryTable",
    "Sampled",
    "apply_token_bitmask",
    "apply_token_bitmask_inplace",
    "attention",
    "attention_decode",
    "cfg_sample",
    "lfq",
    "lfq_entropy",
    "rotary_table",
    "rotate",
    "version_problem",
]

_HOMES = {
    "._attention": ("attention", "attention_decode"),
    "._lfq": ("LFQ", "LFQEntropy", "lfq", "lfq_entropy"),
    "._rotary": ("RotaryTable", "rotary_table", "rotate"),
    "._sampling": ("Sampled", "cfg_sample"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'pycodec_lm.ops' has no attribute '{name}'")
    value: object = getattr(importlib.import_module(_HOME_OF[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


# torch.compile can trace a call of an operator, but not its registration.
if "torch" in sys.modules:
    for _name in _HOME_OF:
        __getattr__(_name)
