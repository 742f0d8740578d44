"""`pycodec-lm tokenizer`: learn a byte-level BPE tokenizer from files, or look into one."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from .._files import read_file
from ..tokenizer import ByteTokenizer
from ._common import fail, print_json, progress

__all__ = ["add_parser"]

# A minute or so of training, and more than the merges need.
_MAX_TRAINING_MB = 16


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds this command to the parser."""
    parser = subparsers.add_parser(
        "tokenizer",
        help="train a byte-level BPE tokenizer, or look into one",
        description="A byte-level BPE tokenizer in the form of JPEG-LM.",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)

    train = actions.add_parser(
        "train",
        help="learn one from files",
        description="Learns merges from the bytes of files, as they stand, or from the samples that"
        " `prepare` made with tokens of one byte.",
    )
    train.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="a file, a folder of files, or a dataset"
    )
    train.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="where to write, e.g. tokenizer.json"
    )
    train.add_argument(
        "--vocab-size",
        type=int,
        default=576,
        metavar="N",
        help="how many tokens: 256 bytes, the merges and 3 specials together (default: 576, the"
        " size of JPEG-LM's vocabulary)",
    )
    train.add_argument(
        "--max-mb",
        type=int,
        default=_MAX_TRAINING_MB,
        metavar="N",
        help="stop reading after so many megabytes (default: %(default)s)",
    )
    train.add_argument("--json", action="store_true", help="print the result as JSON")
    train.set_defaults(func=_train)

    show = actions.add_parser("show", help="say what is in a tokenizer file")
    show.add_argument("file", metavar="FILE")
    show.add_argument("--tokens", action="store_true", help="list every token")
    show.add_argument("--json", action="store_true", help="print the result as JSON")
    show.set_defaults(func=_show)


def _train(args: argparse.Namespace) -> int:
    output = Path(args.output)
    if not output.parent.is_dir():
        fail(f"there is no folder {output.parent} to write {output.name} into")
    samples: list[bytes] = []
    n_bytes = 0
    max_bytes = args.max_mb * 1_000_000
    sources = (sample for source in args.sources for sample in _samples(Path(source)))
    for sample in progress(sources, "reading", quiet=args.json):
        if n_bytes >= max_bytes:
            break
        samples.append(sample)
        n_bytes += len(sample)
    tokenizer = ByteTokenizer.train(
        samples, args.vocab_size, show_progress=sys.stderr.isatty() and not args.json
    )
    tokenizer.save(output)

    n_tokens = sum(map(len, tokenizer.encode_batch(samples)))
    is_cut = n_bytes >= max_bytes
    if args.json:
        print_json(
            {
                "file": str(output),
                "vocab_size": tokenizer.vocab_size,
                "n_merges": len(tokenizer.merges),
                "n_samples": len(samples),
                "is_cut": is_cut,
                "n_bytes": n_bytes,
                "n_tokens": n_tokens,
            }
        )
        return 0
    print(
        f"{output}: {tokenizer.vocab_size} tokens from {len(samples)} samples"
        f"{f', those after {args.max_mb} MB not read' if is_cut else ''};"
        f" {n_bytes:,} bytes are {n_tokens:,} tokens"
    )
    return 0


def _samples(source: Path) -> Iterator[bytes]:
    """The bytes of a file, of the files of a folder in the order of names, or of a dataset."""
    if not source.is_dir():
        yield read_file(source)
        return
    if (source / "meta.json").is_file():
        from ..data.shards import TokenDataset

        dataset = TokenDataset(source)
        tokenizer = dataset.tokenizer()
        for sample in range(len(dataset.train)):
            yield tokenizer.decode(dataset.train.tokens(sample).tolist())
        return
    n_files = 0
    for folder, subfolders, files in os.walk(source):
        subfolders.sort()
        for file in sorted(files):
            n_files += 1
            yield read_file(Path(folder) / file)
    if not n_files:
        fail(f"there is no file in the folder {source}")


def _show(args: argparse.Namespace) -> int:
    tokenizer = ByteTokenizer.load(args.file)
    longest = max(map(len, tokenizer.encoded_vocab))
    if args.json:
        print_json(
            {
                "file": args.file,
                "vocab_size": tokenizer.vocab_size,
                "n_merges": len(tokenizer.merges),
                "longest_token_bytes": longest,
                "pad_id": tokenizer.pad_id,
                "bos_id": tokenizer.bos_id,
                "eos_id": tokenizer.eos_id,
                **({"tokens": [t.hex() for t in tokenizer.encoded_vocab]} if args.tokens else {}),
            }
        )
        return 0
    print(
        f"{args.file}: {tokenizer.vocab_size} tokens: 256 bytes, {tokenizer.pad_id - 256} merged"
        f" (up to {longest} bytes), <pad> {tokenizer.pad_id}, <bos> {tokenizer.bos_id},"
        f" <eos> {tokenizer.eos_id}"
    )
    if args.tokens:
        for token_id, token in enumerate(tokenizer.encoded_vocab[: tokenizer.pad_id]):
            print(f"{token_id:6} {token.hex(' ')}")
    return 0
