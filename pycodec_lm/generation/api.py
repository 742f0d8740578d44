"""`pycodec_lm.generate`: from a checkpoint to files, in one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pycodec_lm import _core
from pycodec_lm.errors import UsageError
from pycodec_lm.generation.classes import class_numbers, random_class
from pycodec_lm.generation.clips import KEEP_FRAMES, ClipPrompt, ClipSource, clip_prompt
from pycodec_lm.generation.engine import Engine
from pycodec_lm.generation.prompts import Picture, picture_prompt
from pycodec_lm.generation.result import GeneratedFile
from pycodec_lm.generation.row import OnBytes, Plan, Request
from pycodec_lm.generation.sampling import Sampling
from pycodec_lm.grammar import JpegGrammar
from pycodec_lm.grammars import Grammar, grammar_of_codec
from pycodec_lm.models.checkpoint import Checkpoint, load_checkpoint

__all__ = ["compiled_grammar", "default_checkpoint", "generate", "iter_files", "open_checkpoint"]

Prompt = Picture | ClipSource | ClipPrompt

DEFAULT_BATCH = 32
_EMBEDDED = "assets/emoji"


def generate(
    checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
    *,
    n: int = 1,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    temperature: float = 0.8,
    top_k: int = 0,
    top_p: float = 0.95,
    cfg_scale: float = 1.0,
    max_tokens: int | None = None,
    mask: bool = True,
    prompt: Prompt | None = None,
    keep: float | None = None,
    keep_frames: int | None = None,
    batch: int = DEFAULT_BATCH,
    device: str | torch.device | None = None,
    on_bytes: OnBytes | None = None,
    on_step: Callable[[int], None] | None = None,
) -> list[GeneratedFile]:
    """Lets a model write files.

    Args:
        checkpoint: a folder, or one that is loaded; None for the small model in this package.
        n: how many files.
        classes: what they shall show, file i the class i mod len(classes); see `class_numbers` for
            how classes are named. None: each file a class of the first condition, by its seed. An
            empty list: none.
        seed: file i is made with seed + i, and depends on nothing else but the settings: not on
            n, not on the batch.
        temperature, top_k, top_p, cfg_scale: see `Sampling`.
        max_tokens: the budget of each file, the stop token included, a prompt not; None for as many
            as the model has positions for. Every file is whole within it.
        mask: False to let the model write what it likes, until it stops or the budget is spent.
        prompt: a picture whose upper part every file starts with; for a model of clips, a clip
            whose first frames every file starts with (`clip_prompt` says what it may be).
        keep: how much of a picture, as a share of its MCUs; None for a half.
        keep_frames: how many frames of a clip; None for 10.
        batch: how many files are written at the same time.
        device: None for a GPU if there is one.
        on_bytes: called with (i, bytes) as the bytes of file i become certain.
        on_step: called with the number of tokens drawn in a step of the batch.

    Returns:
        The files, in order.

    Raises:
        UsageError: an argument is out of range, a class is unknown, the budget is too small for any
            file, or there is no checkpoint where one was named.

    >>> files = generate(n=4, classes=["red apple"])  # doctest: +SKIP
    >>> [file.valid for file in files]  # doctest: +SKIP
    [True, True, True, True]
    """
    files = iter_files(
        checkpoint,
        n=n,
        classes=classes,
        seed=seed,
        sampling=Sampling(temperature, top_k, top_p, cfg_scale),
        max_tokens=max_tokens,
        mask=mask,
        prompt=prompt,
        keep=keep,
        keep_frames=keep_frames,
        batch=batch,
        device=device,
        on_bytes=on_bytes,
        on_step=on_step,
    )
    return sorted(files, key=lambda file: file.index)


def iter_files(
    checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
    *,
    n: int = 1,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    sampling: Sampling | None = None,
    max_tokens: int | None = None,
    mask: bool = True,
    prompt: Prompt | None = None,
    keep: float | None = None,
    keep_frames: int | None = None,
    batch: int = DEFAULT_BATCH,
    device: str | torch.device | None = None,
    on_bytes: OnBytes | None = None,
    on_step: Callable[[int], None] | None = None,
) -> Iterator[GeneratedFile]:
    """As `generate`, but gives each file when it is whole, in the order in which they finish."""
    for name, value in (("n", n), ("batch", batch)):
        if value < 1:
            raise UsageError(f"{name} = {value}, must be at least 1")
    if max_tokens is not None and max_tokens < 1:
        raise UsageError(f"max_tokens = {max_tokens}, must be at least 1")
    sampling = sampling or Sampling()
    loaded = open_checkpoint(checkpoint, device=device)
    if sampling.cfg_scale != 1 and not loaded.conditions:
        raise UsageError("cfg_scale needs a model with classes; this one was trained without")
    grammar = _grammar(loaded)
    compiled = _core.compile_grammar(grammar, loaded.tokenizer.info())
    plan = Plan(
        compiled=compiled,
        tokenizer=loaded.tokenizer,
        max_tokens=max_tokens,
        max_positions=loaded.model.config.max_seq_len,
        mask=mask,
        on_bytes=on_bytes,
    )
    start = _start(loaded, grammar, prompt, keep, keep_frames)
    requests = []
    for i in range(n):
        label = random_class(loaded, seed + i) if classes is None else ""
        if classes:
            label = classes[i % len(classes)]
        requests.append(Request(i, seed + i, class_numbers(loaded, label), label, start))
    engine = Engine(loaded.model, plan, sampling, batch=batch, on_step=on_step)
    return engine.run(requests)


def open_checkpoint(
    checkpoint: str | os.PathLike[str] | Checkpoint | None,
    *,
    device: str | torch.device | None = None,
) -> Checkpoint:
    """The checkpoint, loaded, on a device.

    Raises:
        UsageError: there is none, or a file of it is broken; or there is no such device.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        target = torch.device(device)
        torch.empty(0, device=target)
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        raise UsageError(
            f"device '{device}' cannot be used: {str(error).splitlines()[0]}"
        ) from error
    if isinstance(checkpoint, Checkpoint):
        checkpoint.model.to(target).eval()
        return checkpoint
    return load_checkpoint(
        default_checkpoint() if checkpoint is None else checkpoint, device=target
    )


def default_checkpoint() -> Path:
    """The folder of the small model that comes with this package.

    Raises:
        UsageError: this build has none.
    """
    folder = Path(str(resources.files("pycodec_lm"))) / _EMBEDDED
    if not (folder / "config.json").is_file():
        raise UsageError(
            "this build of the package comes without its default model: name a checkpoint, or train"
            " one with `pycodec-lm train`"
        )
    return folder


def compiled_grammar(checkpoint: Checkpoint) -> _core.CompiledGrammar:
    """The checkpoint's grammar, every file of its codec where it names none, for its vocabulary.

    Raises:
        UsageError: the vocabulary cannot spell some byte, or the grammar is of another codec.
    """
    return _core.compile_grammar(_grammar(checkpoint), checkpoint.tokenizer.info())


def _grammar(checkpoint: Checkpoint) -> Grammar:
    return grammar_of_codec(checkpoint.codec, checkpoint.grammar_bytes)


def _start(
    checkpoint: Checkpoint,
    grammar: Grammar,
    prompt: Prompt | None,
    keep: float | None,
    keep_frames: int | None,
) -> bytes:
    """The bytes after the pinned header that every file starts with."""
    if isinstance(grammar, JpegGrammar):
        if keep_frames is not None:
            raise UsageError("this model writes pictures: give keep, not keep_frames")
        if prompt is None:
            return b""
        if isinstance(prompt, np.ndarray | ClipPrompt):
            raise UsageError("this model writes pictures; a clip is no prompt for it")
        stream = picture_prompt(grammar, prompt, 0.5 if keep is None else keep)
    else:
        if keep is not None:
            raise UsageError("this model writes clips: give keep_frames, not keep")
        if prompt is None:
            return b""
        if isinstance(prompt, Image.Image):
            raise UsageError("this model writes clips; a picture is no prompt for it")
        if not isinstance(prompt, ClipPrompt):
            n_kept = KEEP_FRAMES if keep_frames is None else keep_frames
            prompt = clip_prompt(checkpoint, prompt, n_kept)
        stream = prompt.stream
    return stream[len(grammar.header) :]
