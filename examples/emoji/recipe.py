"""The recipe of the shipped checkpoint, from the font to the files in the package.

python examples/emoji/recipe.py all --work RUN

does everything. The name of a single step does that one, on what the earlier ones left in RUN.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import card
import classifier
import evaluate
from render import SETTINGS, Renderer, read_emoji

from pycodec_lm.data.huffman import DESIGNS, design_tables, one_byte_share
from pycodec_lm.data.prepare import Picture, count_symbols, prepare_images
from pycodec_lm.data.shards import TokenDataset
from pycodec_lm.generation.sheet import cells_of, contact_sheet, png
from pycodec_lm.models.checkpoint import load_checkpoint, save_checkpoint

CONFIG_FILE = Path(__file__).with_name("config.toml")
ASSETS = Path(__file__).parents[2] / "pycodec_lm" / "assets" / "emoji"
# Pictures of their own seed, enough to know how often each symbol comes.
_N_COUNTED = 10_000
_SHEET_COLUMNS = 9


def prepare(args: argparse.Namespace) -> None:
    """Draws the pictures and writes RUN/data."""
    renderer = Renderer(read_emoji())
    tables = share = None
    if args.huffman != "standard":
        drawn = renderer.pictures(_N_COUNTED, seed=args.seed + 1)
        counts = count_symbols((image for image, _ in drawn), SETTINGS)
        tables = design_tables(args.huffman, counts)
        share = one_byte_share(tables, counts)

    def pictures() -> Iterator[Picture]:
        for split, n in (("train", args.n_train), ("val", args.n_val)):
            drawn = renderer.pictures(n, seed=args.seed, held_out=split == "val")
            for image, conditions in drawn:
                yield Picture(image, conditions, split)

    meta = prepare_images(
        pictures(),
        args.data,
        settings=SETTINGS,
        huffman_tables=tables,
        conditions=renderer.classes,
        extra={"seed": args.seed, "huffman": args.huffman, "one_byte_share": share},
    )
    print(f"{args.data}: {dict(meta.n_samples)} samples, {dict(meta.n_tokens)} tokens")


def train_classifier(args: argparse.Namespace) -> None:
    """Writes RUN/classifier.safetensors."""
    renderer = Renderer(read_emoji())
    model = classifier.train(renderer)
    classifier.save(model, args.work / "classifier.safetensors")
    accuracy = classifier.held_out_accuracy(model, renderer)
    print(f"the classifier names {accuracy:.2%} of held-out renderings")


def train(args: argparse.Namespace) -> None:
    """Trains RUN/model; begun before, it goes on where it stopped."""
    command = [sys.executable, "-m", "pycodec_lm", "train", str(args.config), "--resume"]
    options = ["--data", str(args.data), "-o", str(args.checkpoint)]
    overrides = [part for value in args.overrides for part in ("--set", value)]
    status = subprocess.run([*command, *options, *overrides], check=False).returncode
    if status:
        sys.exit(status)  # the command has said why


def export(args: argparse.Namespace) -> None:
    """Writes the shipped files: 16 bits, and the subgroup that each name implies."""
    loaded = load_checkpoint(args.checkpoint)
    subgroups = {one.name: {"subgroup": one.subgroup} for one in read_emoji()}
    notes = json.loads(json.dumps(dict(loaded.training)))
    notes["implied_classes"] = {"name": {n: subgroups[n] for n in loaded.conditions["name"]}}
    notes["config"]["data"]["folder"] = args.data.name  # whose machine it was is nobody's business
    save_checkpoint(args.assets, dataclasses.replace(loaded, training=notes), dtype="float16")
    size = sum(path.stat().st_size for path in args.assets.iterdir())
    print(f"{args.assets}: {size / 1e6:.2f} MB")


def judge(args: argparse.Namespace) -> None:
    """Judges the shipped files; writes RUN/results.json, RUN/samples.png and the card."""
    checkpoint = load_checkpoint(args.assets)
    results = evaluate.evaluate(
        checkpoint,
        TokenDataset(args.data),
        classifier.load(args.work / "classifier.safetensors"),
        Renderer(read_emoji()),
    )
    (args.work / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (args.assets / "README.md").write_text(card.card(results, args.machine), encoding="utf-8")
    files = evaluate.samples(checkpoint, len(checkpoint.conditions["name"]), cfg_scale=1.0)
    sheet = contact_sheet(cells_of(files), columns=_SHEET_COLUMNS, size_px=64)
    (args.work / "samples.png").write_bytes(png(sheet))
    print(json.dumps({name: results[name] for name in ("bits", "held_out", "samples")}, indent=1))


STEPS = {
    "prepare": prepare,
    "classifier": train_classifier,
    "train": train,
    "export": export,
    "evaluate": judge,
}


def main() -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("step", choices=[*STEPS, "all"])
    parser.add_argument("--work", type=Path, required=True, metavar="RUN", help="a work folder")
    parser.add_argument("--data", type=Path, help="the data set (RUN/data)")
    parser.add_argument("--checkpoint", type=Path, help="the training run (RUN/model)")
    parser.add_argument("--assets", type=Path, default=ASSETS, help="where the model goes")
    parser.add_argument("--n-train", type=int, default=432_000, help="training pictures")
    parser.add_argument("--n-val", type=int, default=2_000, help="held-out pictures")
    parser.add_argument("--seed", type=int, default=1, help="of the pictures")
    parser.add_argument("--huffman", choices=DESIGNS, default="aligned")
    parser.add_argument("--config", type=Path, default=CONFIG_FILE, help="of the training")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--machine", default="", help="what it ran on, for the card")
    args = parser.parse_args()
    args.data = args.data or args.work / "data"
    args.checkpoint = args.checkpoint or args.work / "model"
    args.work.mkdir(parents=True, exist_ok=True)
    for name, step in STEPS.items():
        if args.step in (name, "all"):
            step(args)


if __name__ == "__main__":
    main()
