"""What generation gives back: one file and the account of how it came about."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pycodec_lm.check import Verdict

__all__ = ["GeneratedFile", "veto_share"]


@dataclass(frozen=True, slots=True)
class GeneratedFile:
    """One generated file.

    Log-probabilities are natural logarithms at temperature 1, without top-k and top-p, after
    guidance. Under a mask they are among the allowed tokens; `log_probs[t] + log_zs[t]` is what the
    model itself said of the token. Forced tokens were not asked for: 0 and 0.

    Attributes:
        data: the file, as any program opens it.
        index: its place in the order of the call.
        seed: `generate(n=1, seed=seed)` with the same settings gives this file again.
        label: the class that was asked for; "" for none.
        tokens: what was written, the stop token included; the prompt is not.
        log_probs: one number a token.
        log_zs: log of the probability of all allowed tokens together, one number a token; NaN where
            there was nothing to be allowed, after a file without mask had broken.
        n_forced: tokens that nothing else could have stood for; the model was not asked.
        n_vetoed: draws that, with the same random number but no mask, would have been illegal.
        ended_by_budget: the budget forbade a token that the grammar would have allowed, and that
            would have been drawn; without mask: it ran out before the stop token.
        verdict: what `pycodec_lm.check` says of `data`.
    """

    data: bytes = field(repr=False)
    index: int
    seed: int
    label: str
    tokens: list[int] = field(repr=False)
    log_probs: list[float] = field(repr=False)
    log_zs: list[float] = field(repr=False)
    n_forced: int
    n_vetoed: int
    ended_by_budget: bool
    verdict: Verdict

    @property
    def valid(self) -> bool:
        """Whether the file is valid."""
        return self.verdict.valid

    @property
    def n_tokens(self) -> int:
        """How many tokens were written, forced ones and the stop token included."""
        return len(self.tokens)

    @property
    def n_draws(self) -> int:
        """How many tokens the model was asked for."""
        return self.n_tokens - self.n_forced

    @property
    def veto_share(self) -> float:
        """The share of draws that would have been illegal without the mask."""
        return self.n_vetoed / max(1, self.n_draws)

    @property
    def log_probability(self) -> float:
        """Of the whole file, given its class and prompt."""
        return math.fsum(self.log_probs)

    @property
    def log_z(self) -> float:
        """`log_probability + log_z` is what the free model says of the file; NaN as `log_zs`."""
        return math.fsum(self.log_zs)

    @property
    def mean_allowed_mass(self) -> float:
        """The mean, over all draws, of the probability that the model gave to allowed tokens."""
        measured = [log_z for log_z in self.log_zs if not math.isnan(log_z)]
        n_draws = len(measured) - self.n_forced
        if n_draws == 0:
            return 1.0
        return (math.fsum(map(math.exp, measured)) - self.n_forced) / n_draws

    def report(self) -> dict[str, Any]:
        """The account, ready for JSON."""
        return {
            "index": self.index,
            "seed": self.seed,
            "class": self.label,
            "bytes": len(self.data),
            "tokens": self.n_tokens,
            "forced_tokens": self.n_forced,
            "vetoed_draws": self.n_vetoed,
            "veto_share": self.veto_share,
            "mean_allowed_mass": self.mean_allowed_mass,
            "log_probability": self.log_probability,
            "log_z": None if math.isnan(self.log_z) else self.log_z,
            "ended_by_budget": self.ended_by_budget,
            "valid": self.valid,
            "message": self.verdict.message,
        }


def veto_share(files: Sequence[GeneratedFile]) -> float:
    """The share of draws that would have been illegal without the mask, over all files together."""
    return sum(file.n_vetoed for file in files) / max(1, sum(file.n_draws for file in files))
