"""Checkpoint folders: a model with all that is needed to generate from it.

config.json         model shape, grammar, tokenizer, condition classes, notes of the training
model.safetensors   weights, in 32 or 16 bits
tokenizer.json      unless the tokens are bytes
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pycodec_lm.errors import UsageError
from pycodec_lm.models.config import TransformerConfig
from pycodec_lm.models.transformer import Transformer
from pycodec_lm.tokenizer import ByteTokenizer

__all__ = ["Checkpoint", "load_checkpoint", "save_checkpoint"]

FORMAT = "pycodec_lm.checkpoint"
VERSION = 1
BYTES_TOKENIZER = "bytes"
CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE = "config.json", "model.safetensors", "tokenizer.json"

_WEIGHT_DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model and what belongs to it.

    Args:
        model: the backbone, in evaluation mode when loaded.
        grammar: `serialize()` of a grammar parsed as JSON; None when the model has no fixed one.
        tokenizer: `.info()` of it is what `compile_grammar` takes.
        conditions: class names of each condition; names and counts are those of model.config.
        training: notes of the training run (steps, tokens, losses), free in form; "settings" are
            those by which its samples were encoded.
        codec: what the model writes, as `DatasetMeta.codec` says it.
    """

    model: Transformer
    grammar: Any = None
    tokenizer: ByteTokenizer = field(default_factory=ByteTokenizer.bytes_only)
    conditions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    codec: str = "jpeg"

    @property
    def grammar_bytes(self) -> bytes | None:
        """The grammar as `grammar_of_codec` takes it."""
        return None if self.grammar is None else json.dumps(self.grammar).encode()


def save_checkpoint(
    folder: str | os.PathLike[str], checkpoint: Checkpoint, *, dtype: str = "float32"
) -> None:
    """Writes a checkpoint folder; each file appears whole or not at all.

    Args:
        folder: made when missing; other files in it are left alone.
        dtype: how the weights are stored: float32, float16 or bfloat16.

    Raises:
        UsageError: an unknown dtype; conditions or a vocabulary that are not those of the model.
    """
    if dtype not in _WEIGHT_DTYPES:
        raise UsageError(f"weights dtype '{dtype}', must be one of {', '.join(_WEIGHT_DTYPES)}")
    _check_fit(checkpoint, "checkpoint")
    weights = {
        name: tensor.detach().to("cpu", _WEIGHT_DTYPES[dtype]).contiguous()
        for name, tensor in checkpoint.model.state_dict().items()
    }
    config = {
        "format": FORMAT,
        "version": VERSION,
        "model": checkpoint.model.config.to_dict(),
        "tokenizer": TOKENIZER_FILE if checkpoint.tokenizer.merges else BYTES_TOKENIZER,
        "conditions": {name: list(labels) for name, labels in checkpoint.conditions.items()},
        "training": dict(checkpoint.training),
        "grammar": checkpoint.grammar,
    }
    if checkpoint.codec != "jpeg":  # which is what a config without it means
        config["codec"] = checkpoint.codec
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    work = target / ".checkpoint.part"
    shutil.rmtree(work, ignore_errors=True)  # of a run that was killed while it saved
    work.mkdir()
    try:
        if checkpoint.tokenizer.merges:
            checkpoint.tokenizer.save(work / TOKENIZER_FILE)
        save_file(weights, work / WEIGHTS_FILE)
        (work / WEIGHTS_FILE).chmod(0o644)  # safetensors makes it private
        (work / CONFIG_FILE).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        # The config comes last: a folder that has one has the rest.
        for name in (TOKENIZER_FILE, WEIGHTS_FILE, CONFIG_FILE):
            if (work / name).exists():
                (work / name).replace(target / name)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def load_checkpoint(
    folder: str | os.PathLike[str],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Checkpoint:
    """Reads a checkpoint folder.

    Args:
        folder: what `save_checkpoint` wrote.
        device, dtype: where and how the weights are kept, whatever they are stored as.

    Raises:
        UsageError: a file is missing, broken, or does not fit the others; one line that says which.
    """
    source = Path(folder)
    config = _read_config(source)
    try:
        model_config = TransformerConfig.from_dict(config["model"])
        kind = config["tokenizer"]
        conditions = {str(name): list(labels) for name, labels in config["conditions"].items()}
        grammar, training = config["grammar"], dict(config["training"])
        codec = str(config.get("codec", "jpeg"))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, UsageError):
            raise UsageError(f"{source / CONFIG_FILE}: {error}") from error
        raise UsageError(f"{source / CONFIG_FILE}: missing or malformed entry ({error})") from error
    if kind == BYTES_TOKENIZER:
        tokenizer = ByteTokenizer.bytes_only()
    else:
        try:
            tokenizer = ByteTokenizer.load(source / TOKENIZER_FILE)
        except OSError as error:
            raise UsageError(
                f"{source / TOKENIZER_FILE}: unreadable tokenizer ({error})"
            ) from error
    model = Transformer(model_config)
    _load_weights(model, source / WEIGHTS_FILE)
    model.to(device=device, dtype=dtype).eval()
    checkpoint = Checkpoint(model, grammar, tokenizer, conditions, training, codec)
    _check_fit(checkpoint, str(source))
    return checkpoint


def _read_config(source: Path) -> dict[str, Any]:
    path = source / CONFIG_FILE
    if not path.is_file():
        raise UsageError(f"{source}: no checkpoint here (no {CONFIG_FILE})")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # the last: nested too deep
        raise UsageError(f"{path}: unreadable ({error})") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise UsageError(f"{path}: not the config of a pycodec_lm checkpoint")
    if config.get("version") != VERSION:
        raise UsageError(
            f"{path}: checkpoint version {config.get('version')}, this program reads {VERSION}"
        )
    return config


def _load_weights(model: Transformer, path: Path) -> None:
    if not path.is_file():
        raise UsageError(f"{path.parent}: no weights here (no {path.name})")
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path}: unreadable weights ({error})") from error
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name in sorted(expected.keys() ^ weights.keys()):
        state = "is missing" if name in expected else "is unknown to the model of config.json"
        raise UsageError(f"{path}: tensor '{name}' {state}")
    for name, shape in expected.items():
        found = tuple(weights[name].shape)
        if found != shape:
            raise UsageError(
                f"{path}: tensor '{name}' is {list(found)}, config.json says {list(shape)}"
            )
    model.load_state_dict(weights)


def _check_fit(checkpoint: Checkpoint, where: str) -> None:
    config = checkpoint.model.config
    if checkpoint.tokenizer.vocab_size != config.vocab_size:
        raise UsageError(
            f"{where}: the model has a vocabulary of {config.vocab_size} tokens, its tokenizer one "
            f"of {checkpoint.tokenizer.vocab_size}"
        )
    given = tuple((name, len(labels)) for name, labels in checkpoint.conditions.items())
    if given != config.conditions:
        raise UsageError(
            f"{where}: condition classes {dict(given)} are not those of the model, "
            f"{dict(config.conditions)}"
        )
