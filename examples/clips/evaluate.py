"""Judges a model of clips: bits per held-out clip, and how near its frames are to the true ones."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pycodec_lm.codecs.avc import AvcSettings, decode, encode
from pycodec_lm.data.shards import TokenDataset
from pycodec_lm.errors import UsageError
from pycodec_lm.generation import generate
from pycodec_lm.generation.clips import clip_prompt, clip_rows
from pycodec_lm.generation.result import veto_share
from pycodec_lm.generation.sheet import ClipRow, clip_sheet, png
from pycodec_lm.models.checkpoint import Checkpoint
from pycodec_lm.training.evaluate import evaluate_model
from pycodec_lm.training.feed import Feed

__all__ = ["evaluate", "likelihood", "psnr", "report", "sizes"]

TEMPERATURE = 0.8
TOP_P = 0.95
_BATCH = 16
_N_SHOWN = 4

_TEXT = """\
<!-- Written by examples/clips/recipe.py. -->
# A tiny AVC-LM on panning clips

{n_parameters:,} parameters, {steps:,} steps, {tokens:,} tokens ({epochs:.1f} times through \
{n_train:,} clips of {width} x {height}, {frames} frames, QP {qp}, profile {profile}, {b_frames} B \
pictures in a row), {minutes:.1f} minutes.

Bits per held-out clip, forced tokens left out; "legal" is renormalised over the tokens that the
grammar allows.

| | raw | legal |
|---|---|---|
| this model | {model_raw:.0f} | {model_legal:.0f} |
| table of counts over syntax elements, no network | {table_raw:.0f} | {table_legal:.0f} |
| the model takes | {ratio_raw:.1%} | {ratio_legal:.1%} |

The bodies of the files have {body_bits:.0f} bits.

PSNR of the {n_new} new frames after {n_kept} given ones, {n} held-out clips, one continuation each
at temperature {temperature}, top-p {top_p}; mean over frames, then clips:

| | dB |
|---|---|
| this model | {psnr_model:.2f} |
| copying the last frame, which the all-skip ending does | {psnr_frozen:.2f} |
| the clip itself after x264 | {psnr_coded:.2f} |

The model is nearer than the copy in {n_nearer} of {n} clips, in {last_nearer} of {n} in the last
frame. {n_valid} of {n} files are valid; the mask vetoed {vetoed:.2%} of draws, the budget ended
{n_by_budget}. A new frame has {bytes_model:.0f} bytes in the model's files, {bytes_coded:.0f} in
those of x264.
"""


def psnr(frames: NDArray[np.uint8], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of each frame, in dB, over all its RGB values."""
    squares = (frames.astype(np.float64) - truth.astype(np.float64)) ** 2
    mean = squares.reshape(len(frames), -1).mean(axis=1)
    return 10 * np.log10(255**2 / np.maximum(mean, 1e-3))


def likelihood(checkpoint: Checkpoint, dataset: TokenDataset) -> dict[str, dict[str, float]]:
    """Bits per held-out clip, of the model and of the table of counts."""
    feed = Feed(
        dataset,
        codec_inputs=checkpoint.model.config.codec_inputs,
        device=torch.device("cpu"),
        max_val_samples=len(dataset.val),
        memory_mb=1024,
    )
    floor = feed.floor(seed=0)
    if feed.val is None or floor is None or floor.table is None:
        raise UsageError(f"{dataset.folder} has no held-out clips")
    model = evaluate_model(checkpoint.model, feed.val, feed.legal, batch_size=_BATCH)
    return {
        "model": asdict(model),
        "table": asdict(floor.table),
        "files": {"file_bits": floor.file_bits, "body_bits": floor.body_bits},
    }


def evaluate(
    checkpoint: Checkpoint,
    dataset: TokenDataset,
    clips: Sequence[NDArray[np.uint8]],
    n_kept: int,
) -> tuple[dict[str, Any], bytes]:
    """All that the report says, ready for JSON, and the contact sheet as a PNG file.

    Args:
        checkpoint: of the recipe.
        dataset: whose held-out clips it is charged for.
        clips: held-out clips to go on with.
        n_kept: how many frames of each the model is given.
    """
    settings = AvcSettings(**checkpoint.training["settings"])
    rows: list[ClipRow] = []
    files = []
    decibels: dict[str, list[NDArray[np.float64]]] = {"model": [], "frozen": [], "coded": []}
    n_bytes: dict[str, list[float]] = {"model": [], "coded": []}
    began = time.monotonic()
    for i, frames in enumerate(clips):
        prompt = clip_prompt(checkpoint, frames, n_kept)
        (file,) = generate(
            checkpoint, prompt=prompt, seed=i, temperature=TEMPERATURE, top_p=TOP_P, device="cpu"
        )
        files.append(file)
        coded = encode(frames, settings)
        for name, stream in (("model", file.data), ("frozen", prompt.frozen), ("coded", coded)):
            new = decode(stream)[n_kept:]
            decibels[name].append(psnr(new, frames[n_kept:]))
            if name in n_bytes:
                n_bytes[name].append((len(stream) - len(prompt.stream)) / max(1, len(new)))
        if i < _N_SHOWN:
            rows += clip_rows([file], prompt)
    by_clip = {name: np.stack(values) for name, values in decibels.items()}
    is_nearer = by_clip["model"] > by_clip["frozen"]
    results = {
        "n_parameters": checkpoint.model.n_parameters,
        "training": dict(checkpoint.training),
        "n_train": dict(dataset.meta.n_samples)["train"],
        "n_train_tokens": dict(dataset.meta.n_tokens)["train"],
        "bits": likelihood(checkpoint, dataset),
        "n_kept": n_kept,
        "continuations": {
            "n": len(files),
            "n_valid": sum(file.valid for file in files),
            "vetoed": veto_share(files),
            "n_by_budget": sum(file.ended_by_budget for file in files),
            "psnr": {name: float(values.mean()) for name, values in by_clip.items()},
            "n_nearer": int((by_clip["model"].mean(1) > by_clip["frozen"].mean(1)).sum()),
            "last_nearer": int(is_nearer[:, -1].sum()),
            "bytes_a_frame": {name: float(np.mean(sizes)) for name, sizes in n_bytes.items()},
            "seconds": time.monotonic() - began,
        },
    }
    return results, png(clip_sheet(rows, size_px=128))


def report(results: dict[str, Any]) -> str:
    """The figures as Markdown."""
    training, bits, made = results["training"], results["bits"], results["continuations"]
    settings, model, table = training["settings"], bits["model"], bits["table"]
    return _TEXT.format(
        n_parameters=results["n_parameters"],
        steps=training["steps"],
        tokens=training["tokens"],
        epochs=training["tokens"] / results["n_train_tokens"],
        n_train=results["n_train"],
        minutes=training["seconds"] / 60,
        **settings,
        model_raw=model["raw"],
        model_legal=model["renormalised"],
        table_raw=table["raw"],
        table_legal=table["renormalised"],
        ratio_raw=model["raw"] / table["raw"],
        ratio_legal=model["renormalised"] / table["renormalised"],
        body_bits=bits["files"]["body_bits"],
        n_kept=results["n_kept"],
        n_new=settings["frames"] - results["n_kept"],
        n=made["n"],
        temperature=TEMPERATURE,
        top_p=TOP_P,
        **{f"psnr_{name}": value for name, value in made["psnr"].items()},
        n_nearer=made["n_nearer"],
        last_nearer=made["last_nearer"],
        n_valid=made["n_valid"],
        vetoed=made["vetoed"],
        n_by_budget=made["n_by_budget"],
        bytes_model=made["bytes_a_frame"]["model"],
        bytes_coded=made["bytes_a_frame"]["coded"],
    )


# Profile and B pictures in a row.
_FORMS = (("baseline", 0), ("main", 0), ("high", 0), ("high", 1), ("high", 2))


def sizes(clips: Sequence[NDArray[np.uint8]], settings: AvcSettings) -> str:
    """Bits and PSNR of the same clips by profile, as Markdown.

    Args:
        clips: uint8 [frames, height, width, 3] each, as the settings say.
        settings: whose profile and B pictures are replaced.
    """
    lines = [
        "| profile | B pictures in a row | bits a clip | of baseline | PSNR, dB |",
        "|---|---|---|---|---|",
    ]
    first = 0.0
    for profile, b_frames in _FORMS:
        form = replace(settings, profile=profile, b_frames=b_frames)
        streams = [encode(frames, form) for frames in clips]
        n_bits = 8 * float(np.mean([len(stream) for stream in streams]))
        decibels = np.mean(
            [psnr(decode(data), frames) for data, frames in zip(streams, clips, strict=True)]
        )
        first = first or n_bits
        lines.append(
            f"| {profile} | {b_frames} | {n_bits:.0f} | {n_bits / first:.1%} | {decibels:.2f} |"
        )
    return "\n".join([*lines, ""])
