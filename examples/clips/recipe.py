"""A tiny AVC-LM, from a folder of pictures to continuations of clips it has never seen.

python examples/clips/recipe.py all --pictures FOLDER --work RUN

does everything. The name of a single step does that one, on what the earlier ones left in RUN.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import evaluate
from pan import Panner

from pycodec_lm.avc_profiles import PROFILES
from pycodec_lm.codecs.avc import AvcSettings, encode, to_mp4
from pycodec_lm.data.prepare import SampleWriter
from pycodec_lm.data.prepare_clips import ClipCoder
from pycodec_lm.data.shards import TokenDataset
from pycodec_lm.models.checkpoint import load_checkpoint

CONFIG_FILE = Path(__file__).with_name("config.toml")
# Small enough for a model that trains in minutes; otherwise the form of AVC-LM.
SETTINGS = AvcSettings(width=64, height=48, fps=6, frames=8, qp=37)
# Held-out clips are also left as files, for `pycodec-lm generate --prompt`; nearly without loss.
_FILE_QP = 10
_N_FILES = 4


def prepare(args: argparse.Namespace) -> None:
    """Pans over the pictures and writes RUN/data, and some held-out clips as RUN/held-out."""
    panner = Panner(args.pictures, SETTINGS)
    coder = ClipCoder(replace(SETTINGS, profile=args.profile, b_frames=args.b_frames))
    with SampleWriter(args.data, coder, extra={"seed": args.seed}) as writer:
        for split, n in (("train", args.n_train), ("val", args.n_val)):
            for frames in panner.clips(n, split, args.seed):
                writer.add(coder.encode(frames), {}, split)
    (args.work / "held-out").mkdir(exist_ok=True)
    fine = replace(SETTINGS, qp=_FILE_QP)
    for i, frames in enumerate(panner.clips(_N_FILES, "val", args.seed)):
        to_mp4(encode(frames, fine), args.work / "held-out" / f"{i}.mp4", SETTINGS.fps)
    meta = writer.meta
    print(
        f"{args.data}: {dict(meta.n_samples)} clips of {panner.n_pictures('train')} and "
        f"{panner.n_pictures('val')} pictures, {dict(meta.n_tokens)} tokens"
    )


def train(args: argparse.Namespace) -> None:
    """Trains RUN/model; begun before, it goes on where it stopped."""
    command = [sys.executable, "-m", "pycodec_lm", "train", str(args.config), "--resume"]
    options = ["--data", str(args.data), "-o", str(args.checkpoint)]
    overrides = [part for value in args.overrides for part in ("--set", value)]
    status = subprocess.run([*command, *options, *overrides], check=False).returncode
    if status:
        sys.exit(status)  # the command has said why


def judge(args: argparse.Namespace) -> None:
    """Goes on with held-out clips; writes RUN/results.md, RUN/results.json and RUN/sheet.png."""
    panner = Panner(args.pictures, SETTINGS)
    results, sheet = evaluate.evaluate(
        load_checkpoint(args.checkpoint),
        TokenDataset(args.data),
        list(panner.clips(args.n_judged, "val", args.seed)),
        args.keep_frames,
    )
    text = evaluate.report(results)
    (args.work / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (args.work / "results.md").write_text(text, encoding="utf-8")
    (args.work / "sheet.png").write_bytes(sheet)
    print(text)


def sizes(args: argparse.Namespace) -> None:
    """Writes RUN/sizes.md: how many bits the held-out clips take in each profile."""
    clips = list(Panner(args.pictures, SETTINGS).clips(args.n_val, "val", args.seed))
    text = evaluate.sizes(clips, SETTINGS)
    (args.work / "sizes.md").write_text(text, encoding="utf-8")
    print(text)


STEPS = {"prepare": prepare, "train": train, "evaluate": judge, "sizes": sizes}


def main() -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("step", choices=[*STEPS, "all"])
    parser.add_argument("--pictures", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--work", type=Path, required=True, metavar="RUN", help="a work folder")
    parser.add_argument("--data", type=Path, help="the data set (RUN/data)")
    parser.add_argument("--checkpoint", type=Path, help="the training run (RUN/model)")
    parser.add_argument(
        "--profile",
        choices=list(PROFILES.values()),
        default="baseline",
        help="of the clips (baseline)",
    )
    parser.add_argument(
        "--b-frames", type=int, default=0, metavar="N", help="B pictures in a row; not in baseline"
    )
    parser.add_argument("--n-train", type=int, default=1500, help="training clips")
    parser.add_argument("--n-val", type=int, default=48, help="held-out clips")
    parser.add_argument("--n-judged", type=int, default=32, help="of these, how many to go on with")
    parser.add_argument(
        "--keep-frames", type=int, default=4, help="of each that the model is given"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the clips")
    parser.add_argument("--config", type=Path, default=CONFIG_FILE, help="of the training")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    args = parser.parse_args()
    args.data = args.data or args.work / "data"
    args.checkpoint = args.checkpoint or args.work / "model"
    args.work.mkdir(parents=True, exist_ok=True)
    for name, step in STEPS.items():
        if args.step in (name, "all"):
            step(args)


if __name__ == "__main__":
    main()
