"""`pycodec-lm prepare`: a folder of pictures as a dataset of tokens."""

import argparse
import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..avc_profiles import PROFILES
from ..errors import UsageError
from ._common import Progress, print_json, printable, progress

if TYPE_CHECKING:
    from ..data.folder import FolderSummary
    from ..tokenizer import ByteTokenizer

__all__ = ["add_parser", "run"]

_CODECS = ("jpeg", "avc")
_DEFAULT_SIZE_PX = {"jpeg": (256, 256), "avc": (256, 144)}
_KINDS = {"jpeg": "pictures", "avc": "clips"}
# What only one codec knows, and what it is when it is not given.
_DEFAULTS: dict[str, dict[str, int | str]] = {
    "jpeg": {
        "crops": 1,
        "quality": 25,
        "subsampling": "4:2:0",
        "restart_interval": 1,
        "huffman": "standard",
    },
    "avc": {
        "windows": 1,
        "fps": 3,
        "frames": 15,
        "qp": 37,
        "slices": "picture",
        "profile": "baseline",
        "b_frames": 0,
    },
}
_SKIPPED_SHOWN = 20


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds this command to the parser."""
    parser = subparsers.add_parser(
        "prepare",
        help="turn a folder of pictures or clips into a dataset of tokens",
        description=(
            "Cuts and scales every picture of a folder to one size, writes it as JPEG, and packs "
            "the bytes as tokens; or every clip as H.264. Files that are no pictures (clips) are "
            "named and skipped."
        ),
        epilog="Exit code: 0 a dataset was written, 2 none could be.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the pictures or clips")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="DATA", help="the folder to write"
    )
    parser.add_argument(
        "--codec",
        choices=_CODECS,
        default="jpeg",
        help="jpeg for pictures (default), avc for clips",
    )
    _add_samples(parser.add_argument_group("samples"))
    _add_jpeg(parser.add_argument_group("JPEG"))
    _add_avc(parser.add_argument_group("H.264"))
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(func=run)


def _add_samples(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--size",
        type=int,
        metavar="PX",
        help="width and height (default 256; clips: 256 and 144)",
    )
    group.add_argument("--width", type=int, metavar="PX", help="width, where the two differ")
    group.add_argument("--height", type=int, metavar="PX", help="height, where the two differ")
    group.add_argument(
        "--conditions",
        choices=["none", "folder"],
        default="none",
        help="folder: the name of the sub-folder is the file's class",
    )
    group.add_argument(
        "--val", type=float, default=0.05, metavar="SHARE", help="kept for validation (0.05)"
    )
    group.add_argument("--seed", type=int, default=0, help="of the split and the crops")
    group.add_argument(
        "--tokenizer",
        default="bytes",
        metavar="bytes|FILE",
        help="tokens are bytes, or those of a tokenizer.json",
    )


def _add_jpeg(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--crops", type=int, metavar="N", help="windows of each picture (default 1)")
    group.add_argument("--quality", type=int, help="1 to 100 (default 25)")
    group.add_argument("--subsampling", choices=["4:4:4", "4:2:2", "4:2:0"], help="default 4:2:0")
    group.add_argument(
        "--restart-interval",
        type=int,
        metavar="MCUS",
        help="blocks of pixels between restart markers, 0 for none (default 1, as JPEG-LM)",
    )
    group.add_argument(
        "--huffman",
        choices=["standard", "optimal", "aligned"],
        help="code tables: aligned ones make nearly every syntax element one byte",
    )


def _add_avc(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--windows", type=int, metavar="N", help="samples of each clip at most (default 1)"
    )
    group.add_argument("--fps", type=int, help="frames a second (default 3)")
    group.add_argument("--frames", type=int, metavar="N", help="of a sample (default 15)")
    group.add_argument("--qp", type=int, help="quantizer, 1 to 51 (default 37)")
    group.add_argument(
        "--slices",
        choices=["picture", "macroblock"],
        help="what one slice holds (default picture)",
    )
    group.add_argument(
        "--profile",
        choices=list(PROFILES.values()),
        help="main and high have CABAC, which takes fewer bits (default baseline)",
    )
    group.add_argument(
        "--b-frames", type=int, metavar="N", help="B pictures in a row, 0 to 16 (default 0)"
    )


def run(args: argparse.Namespace) -> int:
    """Prepares one folder."""
    from ..tokenizer import ByteTokenizer

    _settle(args)
    is_bytes = args.tokenizer == "bytes"
    tokenizer = ByteTokenizer.bytes_only() if is_bytes else ByteTokenizer.load(args.tokenizer)
    bar = _Bar(quiet=args.quiet or args.json)
    try:
        summary = (_prepare_pictures if args.codec == "jpeg" else _prepare_clips)(
            args, tokenizer, bar
        )
    finally:
        bar.close()
    if args.json:
        print_json(_as_json(args, summary))
    else:
        _print_summary(args, summary)
    return 0


def _prepare_pictures(
    args: argparse.Namespace, tokenizer: "ByteTokenizer", bar: "_Bar"
) -> "FolderSummary":
    from ..codecs.jpeg import JpegSettings
    from ..data.prepare_folder import prepare_folder

    settings = JpegSettings(
        *_size(args),
        quality=args.quality,
        subsampling=args.subsampling,
        restart_interval=args.restart_interval,
    )
    return prepare_folder(
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


def _prepare_clips(
    args: argparse.Namespace, tokenizer: "ByteTokenizer", bar: "_Bar"
) -> "FolderSummary":
    from ..codecs.avc import AvcSettings
    from ..data.prepare_clips import prepare_clips

    settings = AvcSettings(
        *_size(args),
        fps=args.fps,
        frames=args.frames,
        qp=args.qp,
        slices=args.slices,
        profile=args.profile,
        b_frames=args.b_frames,
    )
    return prepare_clips(
        args.folder,
        args.out,
        settings=settings,
        tokenizer=tokenizer,
        val_share=args.val,
        n_windows=args.windows,
        folders_are_classes=args.conditions == "folder",
        n_workers=args.workers,
        seed=args.seed,
        on_progress=bar.show,
    )


def _settle(args: argparse.Namespace) -> None:
    """Fills in what was not given, and refuses what the codec does not know."""
    for codec, defaults in _DEFAULTS.items():
        for name, default in defaults.items():
            if codec == args.codec and getattr(args, name) is None:
                setattr(args, name, default)
            elif codec != args.codec and getattr(args, name) is not None:
                raise UsageError(
                    f"--{name.replace('_', '-')} is for {_KINDS[codec]}, and --codec {args.codec} "
                    f"is for {_KINDS[args.codec]}; leave it out, or give --codec {codec}"
                )


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
    return _DEFAULT_SIZE_PX[args.codec] if args.size is None else (args.size, args.size)


def _as_json(args: argparse.Namespace, summary: "FolderSummary") -> dict[str, object]:
    meta = summary.meta
    share = {"one_byte_share": summary.one_byte_share} if args.codec == "jpeg" else {}
    return {
        "dataset": str(args.out),
        _KINDS[args.codec]: summary.n_files,
        "samples": dict(meta.n_samples),
        "tokens": dict(meta.n_tokens),
        "raw_bytes": dict(meta.raw_bytes),
        **share,
        "skipped": [
            {name: str(value) for name, value in dataclasses.asdict(one).items()}
            for one in summary.skipped
        ],
    }


def _print_summary(args: argparse.Namespace, summary: "FolderSummary") -> None:
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
        f"{printable(str(args.out))}: {summary.n_files} {_KINDS[args.codec]}, "
        f"{len(summary.skipped)} files skipped; {meta.n_samples['train']} training and "
        f"{meta.n_samples['val']} validation samples, {tokens_a_sample:.0f} tokens each, "
        f"{bytes_a_sample:.0f} bytes as a file"
    )
    if summary.one_byte_share is not None:
        line += f"; {summary.one_byte_share:.2%} of the syntax elements fill one byte"
    print(line)
