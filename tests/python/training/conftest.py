"""A small dataset without a grammar, and the command line in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import pycodec_lm
from pycodec_lm.data.shards import DatasetMeta, ShardWriter

# A model that trains a step in milliseconds; several threads would only wait for one another.
TINY = [
    "model.dim=32",
    "model.n_layers=2",
    "model.n_heads=2",
    "data.batch_size=4",
    "data.val_samples=8",
    "optim.warmup_steps=5",
    "train.threads=1",
]


@pytest.fixture(scope="session")
def toy_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bodies that count upwards from a start that their class gives."""
    folder = tmp_path_factory.mktemp("data") / "toy"
    meta = DatasetMeta(259, 256, 257, 258, conditions={"start": ["low", "high"], "odd": ["yes"]})
    random = np.random.default_rng(0)
    with ShardWriter(folder, meta) as writer:
        for number in range(150):
            start = 100 * (number % 2) + random.integers(0, 10)
            body = start + np.arange(random.integers(10, 40))
            split = "val" if number >= 130 else "train"
            conditions = {"start": ("low", "high")[number % 2]}
            writer.add(body, conditions, split=split, raw_bytes=len(body) + 30)
    return folder


@pytest.fixture
def start_train() -> Callable[..., "subprocess.Popen[str]"]:
    """Starts `pycodec-lm train` with the given arguments."""

    def start(*arguments: object) -> "subprocess.Popen[str]":
        home = str(Path(pycodec_lm.__file__).parent.parent)
        path = os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
        return subprocess.Popen(
            [sys.executable, "-m", "pycodec_lm", "train", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    return start
