"""`pycodec-lm prepare`: a folder of pictures as a dataset of tokens."""

import argparse
import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ._common import Progress, print_json, printable, progress

if TYPE_CHECKING:
    from ..data.prepare_folder import FolderSummary

__all__ = ["add_parser", "run"]

_DEFAULT_SIZE_PX = 256
_SKIPPED_SHOWN = 20


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds this command to the parser."""
    parser = subparsers.add_parser(
        "prepare",
        help="turn a folder of pictures into a dataset of tokens",
        description=(
            "Cuts and scales every picture of a folder to one size, writes it as JPEG, and packs "
            "the bytes as tokens. Files that are no pictures are named and skipped."
        ),
        epilog="Exit code: 0 a dataset was written, 2 none could be.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the pictures")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="DATA", help="the folder to write"
    )
    size = parser.add_argument_group("pictures")
    size.add_argument("--size", type=int, metavar="PX", help="width and height (default 256)")
    size.add_argument("--width", type=int, metavar="PX", help="width, where the two differ")
    size.add_argument("--height", type=int, metavar="PX", help="height, where the two differ")
    size.add_argument("--crops", type=int, default=1, metavar="N", help="windows of each picture")
    size.add_argument(
        "--conditions",
        choices=["none", "folder"],
        default="none",
        help="folder: the name of the sub-folder is the picture's class",
    )
    size.add_argument(
        "--val", type=float, default=0.05, metavar="SHARE", help="kept for validation (0.05)"
    )
    size.add_argument("--seed", type=int, default=0, help="of the split and the windows")
    jpeg = parser.add_argument_group("JPEG")
    jpeg.add_argument("--quality", type=int, default=25, help="1 to 100 (default 25)")
    jpeg.add_argument("--subsampling", choices=["4:4:4", "4:2:2", "4:2:0"], default="4:2:0")
    jpeg.add_argument(
        "--restart-interval",
        type=int,
        default=1,
        metavar="MCUS",
        help="blocks of pixels between restart markers, 0 for none (default 1, as JPEG-LM)",
    )
    jpeg.add_argument(
        "--huffman",
        choices=["standard", "optimal", "aligned"],
        default="standard",
        help="code tables: aligned ones make nearly every syntax element one byte",
    )
    jpeg.add_argument(
        "--tokenizer",
        default="bytes",
        metavar="bytes|FILE",
        help="tokens are bytes, or those of a tokenizer.json",
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Prepares one folder."""
    from ..codecs.jpeg import JpegSettings
    from ..data.prepare_folder import prepare_folder
    from ..tokenizer import ByteTokenizer

    settings = JpegSettings(
        *_size(args),
        quality=args.quality,
        subsampling=args.subsampling,
        restart_interval=args.restart_interval,
    )
    is_bytes = args.tokenizer == "bytes"
    tokenizer = ByteTokenizer.bytes_only() if is_bytes else ByteTokenizer.load(args.tokenizer)
    bar = _Bar(quiet=args.quiet or args.json)
    try:
        summary = prepare_folder(
            args.folder,
            args.out,
            settings=settings,
            huffman=args.huffman,
            tokenizer=tokenizer,
            val_share=args.val,
            n_crops=args.crops,
            folders_are_classes=args.conditions == "folder",
            n_workers=args.workers,
            seed=args.seed,
            on_progress=bar.show,
        )
    finally:
        bar.close()
    if args.json:
        print_json(_as_json(args.out, summary))
    else:
        _print_summary(args.out, summary)
    return 0


class _Bar:
    """A progress bar that learns how much there is to do with the first step."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Progress[int] | None = None
        self._n_shown = 0

    def show(self, n_done: int, n_in_all: int) -> None:
        if self._bar is None:
            self._bar = progress(n_in_all, "preparing", quiet=self._quiet)
        self._bar.update(n_done - self._n_shown)
        self._n_shown = n_done

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _size(args: argparse.Namespace) -> tuple[int, int]:
    if args.size is not None and (args.width is not None or args.height is not None):
        raise UsageError("give --size, or --width and --height, not both")
    if (args.width is None) != (args.height is None):
        raise UsageError("give both --width and --height, or --size")
    if args.width is not None:
        return args.width, args.height
    side = _DEFAULT_SIZE_PX if args.size is None else args.size
    return side, side


def _as_json(out: Path, summary: "FolderSummary") -> dict[str, object]:
    meta = summary.meta
    return {
        "dataset": str(out),
        "pictures": summary.n_pictures,
        "samples": dict(meta.n_samples),
        "tokens": dict(meta.n_tokens),
        "raw_bytes": dict(meta.raw_bytes),
        "one_byte_share": summary.one_byte_share,
        "skipped": [
            {name: str(value) for name, value in dataclasses.asdict(one).items()}
            for one in summary.skipped
        ],
    }


def _print_summary(out: Path, summary: "FolderSummary") -> None:
    meta = summary.meta
    for one in summary.skipped[:_SKIPPED_SHOWN]:
        print(f"skipped {printable(str(one.path))}: {one.reason}", file=sys.stderr)
    n_more = len(summary.skipped) - _SKIPPED_SHOWN
    if n_more > 0:
        print(f"skipped {n_more} more; --json names them all", file=sys.stderr)
    n_samples = sum(meta.n_samples.values())
    tokens_a_sample = sum(meta.n_tokens.values()) / n_samples
    bytes_a_sample = sum(meta.raw_bytes.values()) / n_samples
    line = (
        f"{printable(str(out))}: {summary.n_pictures} pictures, {len(summary.skipped)} files "
        f"skipped; {meta.n_samples['train']} training and {meta.n_samples['val']} validation "
        f"samples, {tokens_a_sample:.0f} tokens each, {bytes_a_sample:.0f} bytes as a file"
    )
    if summary.one_byte_share is not None:
        line += f"; {summary.one_byte_share:.2%} of the syntax elements fill one byte"
    print(line)
