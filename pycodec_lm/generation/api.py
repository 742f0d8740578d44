"""`pycodec_lm.generate`: from a checkpoint to files, in one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path

import torch

from pycodec_lm import _core
from pycodec_lm.errors import UsageError
from pycodec_lm.generation.classes import class_numbers, random_class
from pycodec_lm.generation.engine import Engine
from pycodec_lm.generation.prompts import Picture, picture_prompt
from pycodec_lm.generation.result import GeneratedFile
from pycodec_lm.generation.row import OnBytes, Plan, Request
from pycodec_lm.generation.sampling import Sampling
from pycodec_lm.grammar import JpegGrammar
from pycodec_lm.models.checkpoint import Checkpoint, load_checkpoint

__all__ = ["compiled_grammar", "default_checkpoint", "generate", "iter_files", "open_checkpoint"]

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
    prompt: Picture | None = None,
    keep: float = 0.5,
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
        prompt: a picture whose upper part every file starts with.
        keep: how much of it, as a share of its MCUs.
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
    prompt: Picture | None = None,
    keep: float = 0.5,
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
    compiled = compiled_grammar(loaded)
    plan = Plan(
        compiled=compiled,
        tokenizer=loaded.tokenizer,
        max_tokens=max_tokens,
        max_positions=loaded.model.config.max_seq_len,
        mask=mask,
        on_bytes=on_bytes,
    )
    start = b""
    if prompt is not None:
        grammar = compiled.grammar
        if not isinstance(grammar, JpegGrammar):
            raise UsageError("this model writes clips; a picture is no prompt for it")
        start = picture_prompt(grammar, prompt, keep)[len(grammar.header) :]
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
    """The checkpoint's grammar, every JPEG file where it names none, for its vocabulary.

    Raises:
        UsageError: the vocabulary cannot spell some byte, or there is no grammar of its codec yet.
    """
    if checkpoint.codec != "jpeg":
        raise UsageError(
            f"this model writes {checkpoint.codec} streams, for which there is no grammar yet; "
            "give a model of pictures"
        )
    data = checkpoint.grammar_bytes
    grammar = JpegGrammar() if data is None else JpegGrammar.deserialize(data)
    return _core.compile_grammar(grammar, checkpoint.tokenizer.info())
