"""`pycodec-lm train`: a model from a prepared dataset."""

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pycodec_lm.cli._common import Progress, let_threads_sleep, print_json, progress
from pycodec_lm.errors import UsageError

if TYPE_CHECKING:
    from pycodec_lm.training.config import TrainingConfig
    from pycodec_lm.training.evaluate import Score
    from pycodec_lm.training.feed import Floor

__all__ = ["add_parser", "run"]

_DESCRIPTION = """\
Trains a model on a dataset of `pycodec-lm prepare` and leaves a checkpoint folder that
`pycodec-lm generate` takes. Validation is in bits per image or clip, beside a table of counts: a
model has learned something when it is well below that.

A run that was stopped goes on with --resume, with the same losses as if it had not been stopped.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the parser of `pycodec-lm`."""
    parser = subparsers.add_parser(
        "train", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", nargs="?", metavar="CONFIG.toml", help="sections as in the docs")
    parser.add_argument("--data", metavar="DIR", help="the dataset (data.folder)")
    parser.add_argument("-o", "--out", metavar="OUT", required=True, help="the checkpoint folder")
    parser.add_argument("--steps", type=int, metavar="N", help="length of the run (train.steps)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="sets a key of the config, such as optim.lr=3e-4; may be repeated",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in OUT")
    parser.add_argument("--json", action="store_true", help="one JSON object at the end")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code."""
    let_threads_sleep()
    from pycodec_lm.training.loop import Trainer

    config = _config(args)
    out = Path(args.out)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; give a folder with -o")
    with _Report(quiet=args.quiet or args.json, talk=not args.json) as report:
        trainer = Trainer(config, out, resume=args.resume, hooks=report.hooks())
        report.begin(trainer.step, config.train.steps, trainer.feed.meta.sample_name)
        summary = trainer.run()
    if args.json:
        print_json({"checkpoint": str(out), **summary})
    else:
        print(f"{out}: {summary['steps']} steps, {summary['tokens']:,} tokens")
    return 0


def _config(args: argparse.Namespace) -> "TrainingConfig":
    from pycodec_lm.training.config import TrainingConfig, apply_overrides
    from pycodec_lm.training.state import STATE_FILE, read_state

    values: dict[str, Any] = {}
    if args.config is not None:
        values = TrainingConfig.read_toml(args.config)
    elif args.resume and (Path(args.out) / STATE_FILE).exists():
        values = read_state(Path(args.out))["config"]
    overrides = list(args.overrides)
    if args.steps is not None:
        overrides.append(f"train.steps={args.steps}")
    values = apply_overrides(values, overrides)
    if args.data is not None:
        values.setdefault("data", {})["folder"] = args.data
    return TrainingConfig.from_dict(values)


class _Report:
    """Prints what a run tells: a bar while it goes on, a line for each validation."""

    def __init__(self, *, quiet: bool, talk: bool) -> None:
        self._quiet, self._talk = quiet, talk
        self._bar: Progress[int] | None = None
        self._last_step = 0
        self._sample_name = "sample"

    def __enter__(self) -> "_Report":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def hooks(self) -> Any:
        """The hooks of a Trainer that report here."""
        from pycodec_lm.training.loop import Hooks

        return Hooks(
            on_step=self._on_step,
            on_validation=self._on_validation,
            on_floor=self._on_floor,
            track=self._track,
        )

    def begin(self, step: int, steps: int, sample_name: str) -> None:
        """Starts the bar of the run."""
        self._last_step, self._sample_name = step, sample_name
        self._bar = progress(steps, "training", quiet=self._quiet)
        self._bar.update(step)

    def _track(self, items: Iterable[int], title: str) -> Iterable[int]:
        return progress(items, title, quiet=self._quiet)

    def _on_step(self, step: int, entry: Mapping[str, Any]) -> None:
        if self._bar is not None:
            self._bar.update(step - self._last_step, f"loss {entry['loss']:.3f}")
        self._last_step = step

    def _line(self, text: str) -> None:
        if self._talk:
            # Clears the bar's line; the next update draws it again.
            clear = "\r\x1b[K" if sys.stdout.isatty() and not self._quiet else ""
            print(f"{clear}{text}", flush=True)

    def _on_floor(self, floor: "Floor") -> None:
        table = floor.table
        self._line(
            f"validation, bits per {self._sample_name}: file {floor.file_bits:.0f}, "
            f"body {floor.body_bits:.0f}"
        )
        if table is not None:
            self._line(f"  count table: raw {table.raw:.1f}, legal {table.renormalised:.1f}")

    def _on_validation(self, step: int, score: "Score") -> None:
        self._line(
            f"  step {step}: raw {score.raw:.1f}, legal {score.renormalised:.1f}, "
            f"all tokens {score.all_bits:.1f}"
        )
