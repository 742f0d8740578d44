"""The recipe of the shipped checkpoint, from the font to the files in the package.

    python examples/emoji/recipe.py all --work RUN

does everything; the names of single steps do one, on what the earlier ones left in RUN.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from render import SETTINGS, Renderer, read_emoji

from pycodec_lm.data.huffman import DESIGNS, design_tables, one_byte_share
from pycodec_lm.data.prepare import Picture, count_symbols, prepare_images

# Training pictures of their own seed, enough to know how often each symbol comes.
_N_COUNTED = 10_000


def prepare(work: Path, n_train: int, n_val: int, seed: int, huffman: str) -> None:
    """Draws the pictures and writes RUN/data."""
    renderer = Renderer(read_emoji())
    counts = count_symbols(
        (image for image, _ in renderer.pictures(_N_COUNTED, seed=seed + 1)), SETTINGS
    )
    tables = None if huffman == "standard" else design_tables(huffman, counts)

    def pictures() -> Iterator[Picture]:
        training = renderer.pictures(n_train, seed=seed)
        held_out = renderer.pictures(n_val, seed=seed, held_out=True)
        for split, drawn in (("train", training), ("val", held_out)):
            for image, conditions in drawn:
                yield Picture(image, conditions, split)

    share = one_byte_share(tables, counts) if tables else None
    meta = prepare_images(
        pictures(),
        work / "data",
        settings=SETTINGS,
        huffman_tables=tables,
        conditions=renderer.classes,
        extra={"seed": seed, "huffman": huffman, "one_byte_share": share},
    )
    print(f"{work / 'data'}: {dict(meta.n_samples)} samples, {dict(meta.n_tokens)} tokens")
    if share is not None:
        print(f"{share:.3%} of the syntax elements fill one byte")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("step", choices=["prepare"], help="what to do")
    parser.add_argument("--work", type=Path, required=True, metavar="RUN", help="a work folder")
    parser.add_argument("--n-train", type=int, default=400_000, help="training pictures")
    parser.add_argument("--n-val", type=int, default=2_000, help="held-out pictures")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--huffman", choices=DESIGNS, default="aligned")
    args = parser.parse_args()
    prepare(args.work, args.n_train, args.n_val, args.seed, args.huffman)


if __name__ == "__main__":
    main()
