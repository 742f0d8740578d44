"""Validation in bits per image or clip: raw, and renormalised over what the grammar allows.

A forced token is one that generation takes without asking the model, as the grammar leaves no
other. It costs nothing in the two figures that compare models. `all_bits` charges every token, as a
model without a grammar would have to.

Shape suffixes: B samples, T positions, V vocabulary, P labels of all samples, W bitmask words.
"""
# ruff: noqa: N803, N806, N815  # names carry the shape of their tensor

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pycodec_lm.data.dataset import Samples
from pycodec_lm.data.shards import DatasetMeta
from pycodec_lm.errors import UsageError
from pycodec_lm.models.transformer import Transformer
from pycodec_lm.tokenizer import ByteTokenizer
from pycodec_lm.training.counts import CountTable

if TYPE_CHECKING:
    from pycodec_lm import GrammarMatcher

__all__ = ["LegalTokens", "Score", "evaluate_model", "score_counts"]


@dataclass(frozen=True, slots=True)
class Score:
    """Bits per image or clip, averaged over samples.

    raw, renormalised: over the tokens that are not forced; all_bits: raw over every token.
    """

    raw: float
    renormalised: float
    all_bits: float


@dataclass(frozen=True, slots=True)
class LegalTokens:
    """What the grammar allowed at each label of some samples.

    Attributes:
        bitmask_PW: int32, the matcher's mask before each label.
        forced_P: bool, labels that generation would not have asked the model for.
    """

    bitmask_PW: NDArray[np.int32]
    forced_P: NDArray[np.bool_]

    @classmethod
    def of(cls, samples: Samples, meta: DatasetMeta, tokenizer: ByteTokenizer) -> "LegalTokens":
        """Walks the grammar of a dataset along its samples.

        Raises:
            UsageError: the dataset has no grammar, or a sample breaks it.
        """
        from pycodec_lm import GrammarMatcher, allocate_token_bitmask, compile_grammar
        from pycodec_lm.grammars import grammar_of_codec

        if meta.grammar_bytes is None:
            raise UsageError("the dataset has no grammar to say which tokens are legal")
        grammar = grammar_of_codec(meta.codec, meta.grammar_bytes)
        matcher = GrammarMatcher(compile_grammar(grammar, tokenizer.info()))
        if meta.header and not matcher.accept_bytes(meta.header):
            raise UsageError("the dataset's grammar refuses the dataset's own header")
        labels_P = samples.labels.cpu().numpy()
        bitmask_PW = allocate_token_bitmask(len(labels_P), meta.vocab_size)
        forced_P = np.zeros(len(labels_P), dtype=np.bool_)
        for row in range(len(samples)):
            start, end = samples.starts[row : row + 2]
            _walk(matcher.fork(), labels_P, int(start), int(end), bitmask_PW, forced_P)
        n_legal_P = np.bitwise_count(bitmask_PW.view(np.uint32)).sum(axis=1)
        return cls(bitmask_PW, forced_P | (n_legal_P == 1))


def _walk(
    matcher: "GrammarMatcher",
    labels_P: NDArray[np.int32],
    start: int,
    end: int,
    bitmask_PW: NDArray[np.int32],
    forced_P: NDArray[np.bool_],
) -> None:
    known_until = start
    for place in range(start, end):
        if place >= known_until:
            ahead = matcher.find_jump_forward_tokens()
            if ahead and labels_P[place : place + len(ahead)].tolist() == ahead:
                forced_P[place : place + len(ahead)] = True
                known_until = place + len(ahead)
        matcher.fill_next_token_bitmask(bitmask_PW, place)
        if not matcher.accept_token(int(labels_P[place])):
            raise UsageError(
                f"a validation sample breaks the dataset's grammar at token {place - start}: "
                f"{matcher.describe()}"
            )


def evaluate_model(
    model: Transformer,
    samples: Samples,
    legal: LegalTokens | None,
    *,
    batch_size: int,
    autocast: torch.dtype | None = None,
) -> Score:
    """Scores a model on all samples.

    Args:
        model: put into evaluation mode, and back into the mode it was in.
        legal: None = nothing is forced and everything is legal.
        autocast: dtype of the matrix products, None = that of the weights.
    """
    was_training = model.training
    model.eval()
    device = samples.device
    totals = torch.zeros(3, dtype=torch.float64, device=device)
    bitmask_PW = None if legal is None else torch.from_numpy(legal.bitmask_PW).to(device)
    forced_P = None if legal is None else torch.from_numpy(legal.forced_P).to(device)
    # Similar lengths together: little padding. The order does not change the sums.
    order = np.argsort(np.diff(samples.starts), kind="stable")
    with torch.inference_mode():
        for first in range(0, len(order), batch_size):
            batch = samples.batch(order[first : first + batch_size])
            with torch.autocast(device.type, autocast, enabled=autocast is not None):
                logits_BTV = model(batch.tokens_BT, batch.annotations_BTF, batch.conditions_BC)
            log_p_BTV = F.log_softmax(logits_BTV.float(), dim=-1)
            raw_BT = _label_cost(log_p_BTV, batch.labels_BT)
            counted_BT = raw_BT
            renormalised_BT = raw_BT
            if bitmask_PW is not None and forced_P is not None:
                asked_BT = ~forced_P[batch.flat_BT] & (batch.labels_BT >= 0)
                legal_BTV = unpack_bits(bitmask_PW[batch.flat_BT], log_p_BTV.shape[-1])
                log_mass_BT = log_p_BTV.masked_fill(~legal_BTV, -torch.inf).logsumexp(dim=-1)
                counted_BT = raw_BT * asked_BT
                renormalised_BT = (raw_BT + log_mass_BT) * asked_BT
            totals += torch.stack([x.double().sum() for x in (counted_BT, renormalised_BT, raw_BT)])
    model.train(was_training)
    raw, renormalised, all_bits = (totals / np.log(2) / len(samples)).tolist()
    return Score(raw, renormalised, all_bits)


def _label_cost(log_p_BTV: Tensor, labels_BT: Tensor) -> Tensor:
    """Negative log-probability of each label; 0 for padding."""
    picked_BT = log_p_BTV.gather(-1, labels_BT.clamp(min=0)[..., None])[..., 0]
    return -picked_BT * (labels_BT >= 0)


def unpack_bits(bitmask: Tensor, vocab_size: int) -> Tensor:
    """Bitmask words [..., W] (least significant bit first) as booleans [..., V]."""
    bits = (bitmask[..., None] >> torch.arange(32, device=bitmask.device)) & 1
    return bits.flatten(-2)[..., :vocab_size].bool()


def score_counts(table: CountTable, samples: Samples, legal: LegalTokens | None) -> Score:
    """Scores a count table on the samples that models are scored on."""
    if samples.annotations is None:
        raise UsageError("a count table needs samples with annotations")
    raw_P, renormalised_P = table.bits(
        samples.annotations.cpu().numpy(),
        samples.labels.cpu().numpy(),
        None if legal is None else legal.bitmask_PW,
    )
    asked_P = np.ones(len(raw_P)) if legal is None else ~legal.forced_P
    n = len(samples)
    return Score(
        float((raw_P * asked_P).sum() / n),
        float((renormalised_P * asked_P).sum() / n),
        float(raw_P.sum() / n),
    )
