"""Clips from the folder to the checkpoint: what the grammar gives to training, and the commands."""

import json
from pathlib import Path

import numpy as np
import pytest
from clip_files import clip_file, pan

import pycodec_lm as pcl
from pycodec_lm.cli.main import main
from pycodec_lm.codecs.avc import AvcSettings
from pycodec_lm.data.dataset import Samples, grammar_annotator
from pycodec_lm.data.prepare_clips import prepare_clips
from pycodec_lm.data.shards import TokenDataset
from pycodec_lm.grammars import grammar_of_codec
from pycodec_lm.models.checkpoint import load_checkpoint
from pycodec_lm.training.counts import LEVELS, CountTable
from pycodec_lm.training.evaluate import LegalTokens

from .conftest import TINY

SETTINGS = AvcSettings(64, 48, fps=5, frames=4, qp=40)
SMALL = ["--width", "64", "--height", "48", "--fps", "5", "--frames", "4", "--qp", "40"]
PREPARE = ["prepare", "--codec", "avc", *SMALL, "--windows", "3", "--workers", "1", "--val", "0.3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clips")
    for seed in range(6):
        (root / f"{seed}.mp4").write_bytes(clip_file(pan(70, 96, 72, seed)))
    return root


@pytest.fixture(scope="module")
def dataset(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TokenDataset:
    out = tmp_path_factory.mktemp("data") / "clips"
    prepare_clips(folder, out, settings=SETTINGS, n_windows=3, val_share=0.3)
    return TokenDataset(out)


def test_training_sees_what_the_matcher_sees(dataset: TokenDataset) -> None:
    tokenizer = dataset.tokenizer()
    annotate = grammar_annotator(dataset.meta, tokenizer)
    samples = Samples(dataset.val, None, dataset.meta, annotate)
    assert samples.annotations is not None
    grammar = grammar_of_codec("avc", dataset.meta.grammar_bytes)
    matcher = pcl.GrammarMatcher(pcl.compile_grammar(grammar, tokenizer.info()))
    assert matcher.accept_bytes(dataset.meta.header)
    for place in range(samples.starts[1]):
        assert samples.annotations[place].tolist() == matcher.annotation().tolist()
        assert matcher.accept_token(int(samples.labels[place]))
    assert matcher.is_terminated()


def test_labels_are_legal(dataset: TokenDataset) -> None:
    samples = Samples(dataset.val, None, dataset.meta, None)
    legal = LegalTokens.of(samples, dataset.meta, dataset.tokenizer())
    labels = samples.labels.numpy()
    words = legal.bitmask_PW[np.arange(len(labels)), labels // 32]
    assert ((words >> (labels % 32)) & 1 == 1).all()
    assert legal.forced_P[samples.starts[1:] - 1].all()  # <eos>
    assert 0.3 < (~legal.forced_P).mean() < 1.0


def test_the_table_knows_syntax_elements(dataset: TokenDataset) -> None:
    annotate = grammar_annotator(dataset.meta, dataset.tokenizer())
    train, val = (
        Samples(part, None, dataset.meta, annotate) for part in (dataset.train, dataset.val)
    )
    assert train.annotations is not None and val.annotations is not None
    annotations, labels = train.annotations.numpy(), train.labels.numpy()
    held_out = np.arange(len(labels)) >= train.starts[-3]

    def bits(levels: tuple[tuple[int, ...], ...]) -> float:
        table = CountTable(annotations, labels, held_out, dataset.meta.vocab_size, levels)
        probabilities = table.probabilities(val.annotations.numpy()[:100])  # type: ignore[union-attr]
        assert probabilities.sum(axis=1) == pytest.approx(np.ones(100))
        return float(table.bits(val.annotations.numpy(), val.labels.numpy(), None)[0].sum())  # type: ignore[union-attr]

    assert bits(LEVELS["avc"]) < bits(((),))


def test_from_a_folder_of_clips_to_continuations(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, bpe, model, out = (tmp_path / name for name in ("bytes", "bpe", "model", "out"))
    tokenizer = tmp_path / "tokenizer.json"
    assert main([*PREPARE, str(folder), "-o", str(data)]) == 0
    learn = ["tokenizer", "train", str(data), "-o", str(tokenizer), "--vocab-size", "512"]
    assert main(learn) == 0
    assert main([*PREPARE, str(folder), "-o", str(bpe), "--tokenizer", str(tokenizer)]) == 0
    capsys.readouterr()

    sets = [word for override in TINY for word in ("--set", override)]
    assert main(["train", "--data", str(bpe), "-o", str(model), "--steps", "4", *sets]) == 0
    told = capsys.readouterr().out
    assert "validation, bits per clip: file " in told
    assert "count table: raw " in told
    assert "step 4: raw " in told
    checkpoint = load_checkpoint(model)
    assert (checkpoint.codec, checkpoint.tokenizer.vocab_size) == ("avc", 512)
    assert AvcSettings(**checkpoint.training["settings"]) == SETTINGS
    assert checkpoint.model.config.codec_inputs

    prompt = ["--prompt", str(folder / "0.mp4"), "--keep-frames", "3", "-n", "1"]
    assert main(["generate", "--checkpoint", str(model), *prompt, "-o", str(out), "--json"]) == 0
    file = json.loads(capsys.readouterr().out.splitlines()[0])
    assert file["valid"]
    assert pcl.check(out / "000.264").valid
    assert pcl.check(out / "000.mp4").valid
