"""`pycodec-lm generate`: let a model write files."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .._files import write_file
from ..errors import CodecLMError
from ._common import fail, let_threads_sleep, print_json, printable, progress

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..generation import GeneratedFile
    from ..models.checkpoint import Checkpoint

__all__ = ["add_parser", "run"]

_SHEET = "sheet.png"
_FRAME_PX = 64  # of a frame on it: a clip is a row


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds this command to the parser."""
    parser = subparsers.add_parser(
        "generate",
        help="let a model write files",
        description="Lets a model write pictures or clips, token by token. A mask keeps every file"
        " valid and within its budget of tokens. A clip becomes two files, .264 and .mp4.",
        epilog="File i is made with the seed SEED + i: `-n 1 --seed 5` makes file 5 of `--seed 0`"
        " again. Exit code: 0 all files valid, 1 some are not, 2 misuse.",
    )
    parser.add_argument("-n", type=int, default=16, metavar="N", help="how many (default: 16)")
    parser.add_argument(
        "-o", "--output", default="samples", metavar="DIR", help="where to (default: samples)"
    )
    parser.add_argument(
        "--checkpoint", metavar="DIR", help="a trained model (default: the one in the package)"
    )
    what = parser.add_argument_group("what they show")
    what.add_argument(
        "--class",
        dest="classes",
        nargs="+",
        metavar="NAME",
        help="classes, taken in turn (default: each file one by chance)",
    )
    what.add_argument("--no-class", action="store_true", help="do not ask for any class")
    what.add_argument("--list-classes", action="store_true", help="list the classes and stop")
    what.add_argument(
        "--prompt",
        metavar="FILE",
        help="a picture whose upper part every file starts with, or a clip whose first frames",
    )
    what.add_argument(
        "--keep", type=float, metavar="SHARE", help="how much of that picture (default: 0.5)"
    )
    what.add_argument(
        "--keep-frames", type=int, metavar="N", help="how many frames of that clip (default: 10)"
    )
    how = parser.add_argument_group("how tokens are drawn")
    how.add_argument("--seed", type=int, default=0, metavar="SEED", help="(default: 0)")
    how.add_argument(
        "--temperature", type=float, default=0.8, metavar="T", help="0 for no chance (default: 0.8)"
    )
    how.add_argument(
        "--top-k", type=int, default=0, metavar="K", help="of the K best, 0 for all (default: 0)"
    )
    how.add_argument(
        "--top-p",
        type=float,
        default=0.95,
        metavar="P",
        help="of the best that make P (default: 0.95)",
    )
    how.add_argument(
        "--cfg-scale",
        type=float,
        default=1.0,
        metavar="S",
        help="how strongly the class guides, 1 for plainly (default: 1)",
    )
    how.add_argument(
        "--max-tokens", type=int, metavar="N", help="of a file (default: what the model can hold)"
    )
    how.add_argument("--no-mask", action="store_true", help="let the model break its files")
    parser.add_argument(
        "--batch", type=int, default=32, metavar="N", help="files at the same time (default: 32)"
    )
    parser.add_argument(
        "--device", metavar="NAME", help="such as cpu or cuda (default: a GPU if any)"
    )
    parser.add_argument(
        "--stream",
        action="store_true",
        help="write the bytes of one file to standard output as they come, and no folder",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a file")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Generates what the arguments say."""
    if args.n < 1:
        fail(f"-n {args.n}: ask for at least one file")
    if args.stream and (args.n != 1 or args.json):
        fail("--stream writes one file to standard output: it goes with -n 1 and without --json")
    if args.classes and args.no_class:
        fail("give --class or --no-class, not both")
    folder = Path(args.output)
    if folder.exists() and not folder.is_dir() and not args.stream:
        fail(f"{printable(args.output)} is a file; -o takes a folder")

    let_threads_sleep()
    from ..generation.api import open_checkpoint

    checkpoint = open_checkpoint(args.checkpoint, device=args.device)
    if args.list_classes:
        return _list_classes(checkpoint, as_json=args.json)
    _refuse_options_of_others(args, checkpoint.codec)
    output = _Clips(args, checkpoint) if checkpoint.codec == "avc" else _Pictures(args.prompt)
    if args.stream:
        return _stream(args, checkpoint, output)
    return _write(args, checkpoint, output, folder)


def _refuse_options_of_others(args: argparse.Namespace, codec: str) -> None:
    if codec == "avc" and args.keep is not None:
        fail("--keep is for pictures, and this model writes clips; give --keep-frames")
    if codec != "avc" and args.keep_frames is not None:
        fail("--keep-frames is for clips, and this model writes pictures; give --keep")
    if args.keep_frames is not None and args.prompt is None:
        fail("--keep-frames says how much of a clip is kept: give that clip with --prompt")


class _Pictures:
    """How pictures are kept."""

    suffix = ".jpg"

    def __init__(self, prompt: str | None) -> None:
        self.prompt = prompt

    def write(self, path: Path, file: GeneratedFile) -> dict[str, str | None]:
        """Writes one file; returns what else was written of it, by name."""
        write_file(path, file.data)
        return {}

    def sheet(self, files: list[GeneratedFile]) -> Image:
        from ..generation.sheet import cells_of, contact_sheet

        return contact_sheet(cells_of(files))


class _Clips:
    """How clips are kept: as a byte stream, and as a file that plays in browsers."""

    suffix = ".264"

    def __init__(self, args: argparse.Namespace, checkpoint: Checkpoint) -> None:
        from ..codecs.avc import AvcSettings
        from ..generation.clips import KEEP_FRAMES, clip_prompt, clip_settings

        self.fps = (clip_settings(checkpoint) or AvcSettings()).fps
        self.prompt = None
        if args.prompt is not None:
            n_kept = KEEP_FRAMES if args.keep_frames is None else args.keep_frames
            self.prompt = clip_prompt(checkpoint, args.prompt, n_kept)

    def write(self, path: Path, file: GeneratedFile) -> dict[str, str | None]:
        """Writes one file; returns what else was written of it, by name."""
        from ..codecs.avc import to_mp4

        write_file(path, file.data)
        mp4 = path.with_suffix(".mp4")
        try:
            to_mp4(file.data, mp4, self.fps)
        except CodecLMError:
            if file.valid:
                raise
            return {"mp4": None}  # nothing that a player could read
        return {"mp4": str(mp4)}

    def sheet(self, files: list[GeneratedFile]) -> Image:
        from ..generation.clips import clip_rows
        from ..generation.sheet import clip_sheet

        return clip_sheet(clip_rows(files, self.prompt), size_px=_FRAME_PX)


def _write(
    args: argparse.Namespace, checkpoint: Checkpoint, output: _Pictures | _Clips, folder: Path
) -> int:
    from ..generation.sheet import png

    started = time.monotonic()
    files: list[GeneratedFile] = []
    also: dict[int, dict[str, str | None]] = {}
    n_tokens = 0

    def path_of(file: GeneratedFile) -> Path:
        return folder / (_name(file, args.n) + output.suffix)

    with progress(args.n, "generating", quiet=args.json) as bar:

        def count(n_drawn: int) -> None:
            nonlocal n_tokens
            n_tokens += n_drawn
            bar.update(0, note=f"{n_tokens:,} tokens")

        for file in _files(args, checkpoint, output, on_step=count):
            folder.mkdir(parents=True, exist_ok=True)
            also[file.index] = output.write(path_of(file), file)
            files.append(file)
            bar.update()
    seconds = time.monotonic() - started
    files.sort(key=lambda file: file.index)
    for file in files:
        if args.json:
            print_json({"file": str(path_of(file)), **also[file.index], **file.report()})
        else:
            print(_line(path_of(file), file, mask=not args.no_mask))
    sheet = folder / _SHEET
    write_file(sheet, png(output.sheet(files)))
    if args.json:
        print_json({"sheet": str(sheet), "seconds": seconds, **_summary(files)})
    else:
        print(printable(str(sheet)))
        print(_summary_line(files, seconds, mask=not args.no_mask))
    return 0 if all(file.valid for file in files) else 1


def _stream(args: argparse.Namespace, checkpoint: Checkpoint, output: _Pictures | _Clips) -> int:
    def write(_index: int, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    (file,) = _files(args, checkpoint, output, on_bytes=write)
    print(_line(Path("standard output"), file, mask=not args.no_mask), file=sys.stderr)
    return 0 if file.valid else 1


def _files(
    args: argparse.Namespace,
    checkpoint: Checkpoint,
    output: _Pictures | _Clips,
    *,
    on_step: Callable[[int], None] | None = None,
    on_bytes: Callable[[int, bytes], None] | None = None,
) -> Iterator[GeneratedFile]:
    from ..generation import Sampling, iter_files

    return iter_files(
        checkpoint,
        n=args.n,
        classes=[] if args.no_class else args.classes,
        seed=args.seed,
        sampling=Sampling(args.temperature, args.top_k, args.top_p, args.cfg_scale),
        max_tokens=args.max_tokens,
        mask=not args.no_mask,
        prompt=output.prompt,
        keep=args.keep,
        batch=args.batch,
        device=args.device,
        on_bytes=on_bytes,
        on_step=on_step,
    )


def _list_classes(checkpoint: Checkpoint, *, as_json: bool) -> int:
    if as_json:
        print_json({name: [*classes] for name, classes in checkpoint.conditions.items()})
        return 0
    if not checkpoint.conditions:
        print("this model was trained without classes")
    for condition, classes in checkpoint.conditions.items():
        print(f"{condition} ({len(classes)}):")
        for name in classes:
            print(f"  {name}")
    return 0


def _name(file: GeneratedFile, n_files: int) -> str:
    """Such as 007-red-apple, before the suffix."""
    number = f"{file.index:0{max(3, len(str(n_files - 1)))}}"
    label = re.sub(r"[^A-Za-z0-9]+", "-", file.label).strip("-")
    return f"{number}-{label}" if label else number


def _line(path: Path, file: GeneratedFile, *, mask: bool) -> str:
    forced = f" ({file.n_forced} forced)" if mask else ""
    parts = [
        "valid" if file.valid else f"{file.verdict.family}: {file.verdict.message}",
        f"{len(file.data)} bytes",
        f"{file.n_tokens} tokens{forced}",
        f"allowed mass {100 * file.mean_allowed_mass:.2f} %",
        f"log-probability {file.log_probability:.1f}",
    ]
    if mask:
        parts.insert(3, f"vetoed {100 * file.veto_share:.1f} %")
    if file.ended_by_budget:
        parts.append("ended by the budget")
    return f"{printable(str(path))}: {', '.join(parts)}"


def _summary(files: list[GeneratedFile]) -> dict[str, int | float]:
    from ..generation.result import veto_share

    return {
        "files": len(files),
        "valid": sum(file.valid for file in files),
        "ended_by_budget": sum(file.ended_by_budget for file in files),
        "veto_share": veto_share(files),
    }


def _summary_line(files: list[GeneratedFile], seconds: float, *, mask: bool) -> str:
    summary = _summary(files)
    word = "file" if len(files) == 1 else "files"
    masked = f"the mask vetoed {100 * summary['veto_share']:.1f} % of draws"
    return (
        f"{summary['files']} {word}, {summary['valid']} valid, {seconds:.1f} s,"
        f" {masked if mask else 'without a mask'}"
    )
