"""How probable a model finds a file that it did not write.

Shape suffixes: B rows, T tokens, F annotation columns (8), C conditions, V vocabulary.
"""
# ruff: noqa: N806  # names carry the shape of their tensor

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from pycodec_lm import _core, ops
from pycodec_lm.errors import UsageError
from pycodec_lm.generation.api import compiled_grammar
from pycodec_lm.generation.classes import class_numbers
from pycodec_lm.models.checkpoint import Checkpoint

__all__ = ["Score", "score"]


class Score(NamedTuple):
    """The tokens of a file, and natural logarithms, one number a token.

    Attributes:
        tokens: the tokens after the pinned header, the stop token included.
        log_probs: log-probability among the allowed tokens.
        log_zs: log of the share that the model gives to all allowed tokens together; the sum of
            both is what the model itself says.
    """

    tokens: list[int]
    log_probs: list[float]
    log_zs: list[float]


@torch.inference_mode()
def score(checkpoint: Checkpoint, stream: bytes, *, label: str = "") -> Score:
    """Scores one stream.

    Args:
        checkpoint: model, grammar and tokenizer.
        stream: a whole stream of the grammar (for an abbreviated grammar, without the tables).
        label: the class, as in `class_numbers`.

    Raises:
        UsageError: the stream is not one of the grammar, or longer than the model's positions.
    """
    model, tokenizer = checkpoint.model, checkpoint.tokenizer
    compiled = compiled_grammar(checkpoint)
    header = compiled.grammar.header
    tokens = [*tokenizer.encode(stream[len(header) :]), tokenizer.eos_id]
    matcher = _core.GrammarMatcher(compiled)
    if not stream.startswith(header) or not matcher.accept_bytes(header):
        raise UsageError("the stream does not start with the header of the model's grammar")
    bitmask_TW = _core.allocate_token_bitmask(len(tokens), compiled.vocab_size)
    annotations_TF = np.zeros((len(tokens), 8), np.int64)
    for t, token in enumerate(tokens):
        matcher.fill_next_token_bitmask(bitmask_TW, t)
        annotations_TF[t] = matcher.annotation()
        if not matcher.accept_token(token):
            raise UsageError(f"the stream is not one of the model's grammar: {matcher.describe()}")
    device = model.token_embedding.weight.device
    inputs_BT = torch.tensor([[tokenizer.bos_id, *tokens[:-1]]], device=device)
    annotations_BTF = torch.from_numpy(annotations_TF)[None].to(device)
    conditions_BC = torch.tensor([class_numbers(checkpoint, label)], device=device)
    logits_TV = model(inputs_BT, annotations_BTF, conditions_BC)[0].double()
    masked_TV = ops.apply_token_bitmask(logits_TV, bitmask_TW)
    picked_T1 = torch.tensor(tokens, device=device)[:, None]
    log_q_T = torch.log_softmax(masked_TV, dim=-1).gather(1, picked_T1)[:, 0]
    log_p_T = torch.log_softmax(logits_TV, dim=-1).gather(1, picked_T1)[:, 0]
    return Score(tokens, log_q_T.tolist(), (log_p_T - log_q_T).clamp(max=0).tolist())
