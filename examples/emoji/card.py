"""The card of the shipped checkpoint, written from the figures of evaluate.py."""

from typing import Any

from evaluate import NEAR_COPY_RMS, TEMPERATURE, TOP_P

_TEXT = """\
<!-- Written by examples/emoji/recipe.py; change that, not this. -->
# The embedded model

A small language model that writes 32 x 32 pictures of emoji as JPEG files, byte by byte. It is the
default of `pycodec-lm generate`; `--list-classes` shows what can be asked for. It is here to be
tried at once. It is no more than that: it knows {n_classes} emoji of one font.

| | |
|---|---|
| Model | Llama backbone, {n_parameters:,} parameters, weights in 16 bits{codec_inputs} |
| Pictures | 32 x 32, JPEG quality {quality}, {subsampling}, {huffman} Huffman tables{one_byte} |
| Training data | {n_train:,} renderings ({train_tokens:,} tokens) of Noto Color Emoji, \
moved by up to 3 pixels, scaled by 0.85 to 1, mirrored, on white or one of six pale grounds |
| Held-out data | {n_val:,} renderings at scales (0.92 to 0.93) that training leaves out |
| Conditions | name and Unicode subgroup, each dropped one time in ten |
| Training | {steps:,} steps, {tokens:,} tokens ({epochs:.1f} times through the data), \
{hours:.1f} hours{machine} |

## Likelihood

Bits per held-out picture, forced tokens left out; "legal" is renormalised over the tokens that the
grammar allows.

| | raw | legal |
|---|---|---|
| this model | {model_raw:.0f} | {model_legal:.0f} |
| count table, no network | {table_raw:.0f} | {table_legal:.0f} |
| below the table | {gain_raw:.1%} | {gain_legal:.1%} |

The table counts tokens by component, coefficient index, block in MCU and MCU. The bodies of the
files have {body_bits:.0f} bits, whole files {file_bits:.0f}.

## Samples

{n} samples, all classes in turn, temperature {temperature}, top-p {top_p}, seeds from 10000. The
classifier of the recipe names {classifier_accuracy:.1%} of held-out renderings right.

| | {scales} |
|---|{rules}
{rows}

A near copy is closer than {rms:g} of 256 levels (root mean square over all pixels) to a training
picture of its class. Of held-out renderings, {held_out_near:.1%} are that close, and the median
distance is {held_out_median:.1f}: a rendering is never far from some other.

## Licence

The font is Noto Color Emoji, Copyright Google Inc., under the SIL Open Font License 1.1; see
NOTICE. Names and subgroups are those of the Unicode Common Locale Data Repository. The weights are
under the licence of this package.

## Again

    python examples/emoji/recipe.py all --work RUN --n-train {n_train_plain}{limit}
"""

# What the columns of the samples' table say: (label, entry, form).
_ROWS = (
    ("valid files", "n_valid", "{}"),
    ("distinct files", "n_distinct", "{}"),
    ("class named right", "top_1", "{:.1%}"),
    ("class among the first five", "top_5", "{:.1%}"),
    ("draws vetoed by the mask", "vetoed", "{:.2%}"),
    ("ended by the budget", "by_budget", "{:.1%}"),
    ("near copies", "near_copies", "{:.1%}"),
    ("median distance to a training picture", "median_rms", "{:.1f}"),
)


def card(results: dict[str, Any], machine: str) -> str:
    """The card as Markdown.

    Args:
        results: of `evaluate.evaluate`.
        machine: what the training ran on, "" for unknown.
    """
    training, dataset, bits = results["training"], results["dataset"], results["bits"]
    samples: dict[str, dict[str, Any]] = results["samples"]
    model, table = bits["model"], bits["table"]
    share = dataset.get("one_byte_share")
    has_inputs = training["config"]["model"]["codec_inputs"] is not False
    max_minutes = training["config"]["train"]["max_minutes"]
    rows = [
        f"| {label} | " + " | ".join(form.format(s[entry]) for s in samples.values()) + " |"
        for label, entry, form in _ROWS
    ]
    return _TEXT.format(
        n_classes=results["n_classes"],
        n_parameters=results["n_parameters"],
        codec_inputs=", codec-aware inputs" if has_inputs else "",
        quality=dataset["settings"]["quality"],
        subsampling=dataset["settings"]["subsampling"],
        huffman=dataset["huffman"],
        one_byte="" if share is None else f": {share:.2%} of the syntax elements are one byte",
        n_train=dataset["n_samples"]["train"],
        n_train_plain=dataset["n_samples"]["train"],
        limit="" if max_minutes is None else f" --set train.max_minutes={max_minutes:g}",
        train_tokens=dataset["n_tokens"]["train"],
        n_val=dataset["n_samples"]["val"],
        steps=training["steps"],
        tokens=training["tokens"],
        epochs=training["tokens"] / dataset["n_tokens"]["train"],
        hours=training["seconds"] / 3600,
        machine=f" on {machine}" if machine else "",
        model_raw=model["raw"],
        model_legal=model["renormalised"],
        table_raw=table["raw"],
        table_legal=table["renormalised"],
        gain_raw=1 - model["raw"] / table["raw"],
        gain_legal=1 - model["renormalised"] / table["renormalised"],
        body_bits=bits["files"]["body_bits"],
        file_bits=bits["files"]["file_bits"],
        n=next(iter(samples.values()))["n"],
        temperature=TEMPERATURE,
        top_p=TOP_P,
        classifier_accuracy=results["classifier_accuracy"],
        scales=" | ".join(f"guidance {scale}" for scale in samples),
        rules="---|" * len(samples),
        rows="\n".join(rows),
        rms=NEAR_COPY_RMS,
        held_out_near=results["held_out"]["near_copies"],
        held_out_median=results["held_out"]["median_rms"],
    )
