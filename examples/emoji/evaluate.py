"""Judges a checkpoint of the example, and writes its card.

Everything that is said of the shipped model comes from here: bits per held-out picture beside a
table of counts, what a classifier recognises at guidance 1 and 3, and how many samples are near
copies of training pictures.

Shape suffixes: N samples, T training pictures, C channels, H, W pixels, P values of a picture.
"""
# ruff: noqa: N803, N806  # names carry the shape of their tensor

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from classifier import Classifier, held_out_accuracy, to_tensor
from numpy.typing import NDArray
from PIL import Image
from render import SETTINGS, Renderer

from pycodec_lm.codecs.jpeg import decode, encode
from pycodec_lm.data.shards import TokenDataset
from pycodec_lm.errors import UsageError
from pycodec_lm.generation import GeneratedFile, generate
from pycodec_lm.generation.result import veto_share
from pycodec_lm.grammar import JpegGrammar
from pycodec_lm.models.checkpoint import Checkpoint
from pycodec_lm.training.evaluate import evaluate_model
from pycodec_lm.training.feed import Feed

__all__ = ["evaluate", "likelihood", "sample_score", "samples"]

N_SAMPLES = 500
TEMPERATURE = 0.8
TOP_P = 0.95
CFG_SCALES = (1.0, 3.0)
# Of 256 levels. Pictures closer than this can hardly be told apart.
NEAR_COPY_RMS = 4.0
_SEED = 10_000
_BATCH = 64
_N_VALIDATION = 2000


@dataclass(frozen=True, slots=True)
class SampleScore:
    """What became of conditioned samples at one guidance scale.

    Attributes:
        n, n_valid, n_distinct: samples; valid ones; different ones.
        top_1, top_5: the shares of which the classifier gives the class asked for, first or among
            its first five.
        vetoed: the share of draws that would have been illegal without the mask.
        by_budget: the share of files that the token budget ended.
        near_copies: the share closer than NEAR_COPY_RMS to a training picture of the class.
        median_rms: half of the samples are closer than this to their nearest training picture.
        seconds: it took.
    """

    n: int
    n_valid: int
    n_distinct: int
    top_1: float
    top_5: float
    vetoed: float
    by_budget: float
    near_copies: float
    median_rms: float
    seconds: float


class TrainingPictures:
    """The training pictures of a dataset as pixels, class by class.

    Args:
        dataset: the dataset of the recipe.
    """

    def __init__(self, dataset: TokenDataset) -> None:
        grammar_bytes = dataset.meta.grammar_bytes
        if grammar_bytes is None:
            raise UsageError(f"{dataset.folder} has no grammar, so it is not of this recipe")
        self._grammar = JpegGrammar.deserialize(grammar_bytes)
        self._header = dataset.meta.header
        self._split = dataset.train

    def of_class(self, number: int) -> NDArray[np.float32]:
        """Pictures [T, P] of the class with that number."""
        rows = np.flatnonzero(self._split.conditions[:, 0] == number)
        return np.stack([self._picture(int(row)) for row in rows])

    def _picture(self, row: int) -> NDArray[np.float32]:
        body = self._split.tokens(row).astype(np.uint8).tobytes()
        return _values(decode(self._grammar.to_file(self._header + body)))


def _values(image: Image.Image) -> NDArray[np.float32]:
    return np.asarray(image.convert("RGB"), dtype=np.float32).reshape(-1)


def nearest_rms(
    pictures_NP: NDArray[np.float32], training_TP: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The root mean square difference of each picture to the nearest training picture."""
    products_NT = pictures_NP @ training_TP.T
    squares_NT = (pictures_NP**2).sum(1)[:, None] + (training_TP**2).sum(1) - 2 * products_NT
    nearest_N: NDArray[np.float32] = squares_NT.min(1).clip(0) / pictures_NP.shape[1]
    return np.sqrt(nearest_N)


def distances(
    images: Sequence[Image.Image], labels: Sequence[int], training: TrainingPictures
) -> NDArray[np.float32]:
    """`nearest_rms` of each picture among the training pictures of its class."""
    result = np.zeros(len(images), dtype=np.float32)
    for number in sorted(set(labels)):
        rows = [row for row, label in enumerate(labels) if label == number]
        pictures_NP = np.stack([_values(images[row]) for row in rows])
        result[rows] = nearest_rms(pictures_NP, training.of_class(number))
    return result


def likelihood(checkpoint: Checkpoint, dataset: TokenDataset) -> dict[str, dict[str, float]]:
    """Bits per held-out picture, of the model and of the count table that it has to beat."""
    feed = Feed(
        dataset,
        codec_inputs=checkpoint.model.config.codec_inputs,
        device=torch.device("cpu"),
        max_val_samples=_N_VALIDATION,
        memory_mb=0,
    )
    floor = feed.floor(seed=0)
    if feed.val is None or floor is None or floor.table is None:
        raise UsageError(f"{dataset.folder} has no held-out pictures")
    model = evaluate_model(checkpoint.model, feed.val, feed.legal, batch_size=_BATCH)
    return {
        "model": asdict(model),
        "table": asdict(floor.table),
        "files": {"file_bits": floor.file_bits, "body_bits": floor.body_bits},
    }


def samples(checkpoint: Checkpoint, n: int, *, cfg_scale: float) -> list[GeneratedFile]:
    """Files of all classes in turn."""
    return generate(
        checkpoint,
        n=n,
        classes=list(checkpoint.conditions["name"]),
        seed=_SEED,
        temperature=TEMPERATURE,
        top_p=TOP_P,
        cfg_scale=cfg_scale,
        batch=_BATCH,
        device="cpu",
    )


def sample_score(
    checkpoint: Checkpoint, classifier: Classifier, training: TrainingPictures, cfg_scale: float
) -> SampleScore:
    """Scores samples of all classes in turn."""
    names = list(checkpoint.conditions["name"])
    began = time.monotonic()
    files = samples(checkpoint, N_SAMPLES, cfg_scale=cfg_scale)
    seconds = time.monotonic() - began
    labels = [names.index(file.label) for file in files]
    images = [decode(file.data) for file in files]
    ranks = classifier.ranks(to_tensor(images), torch.tensor(labels)).numpy()
    rms = distances(images, labels, training)
    return SampleScore(
        n=len(files),
        n_valid=sum(file.valid for file in files),
        n_distinct=len({file.data for file in files}),
        top_1=float((ranks == 0).mean()),
        top_5=float((ranks < 5).mean()),
        vetoed=veto_share(files),
        by_budget=float(np.mean([file.ended_by_budget for file in files])),
        near_copies=float((rms < NEAR_COPY_RMS).mean()),
        median_rms=float(np.median(rms)),
        seconds=seconds,
    )


def held_out_distances(renderer: Renderer, training: TrainingPictures) -> NDArray[np.float32]:
    """How near fresh held-out renderings come to training pictures: what chance alone gives."""
    names = renderer.classes["name"]
    images, labels = [], []
    for image, conditions in renderer.pictures(N_SAMPLES, seed=_SEED, held_out=True):
        images.append(decode(encode(image, SETTINGS)))
        labels.append(names.index(conditions["name"]))
    return distances(images, labels, training)


def evaluate(
    checkpoint: Checkpoint, dataset: TokenDataset, classifier: Classifier, renderer: Renderer
) -> dict[str, Any]:
    """Everything that the card says, ready for JSON."""
    if list(checkpoint.conditions["name"]) != classifier.classes:
        raise UsageError("the classifier knows other classes than the model")
    training = TrainingPictures(dataset)
    rms = held_out_distances(renderer, training)
    return {
        "n_parameters": checkpoint.model.n_parameters,
        "n_classes": len(classifier.classes),
        "training": dict(checkpoint.training),
        "dataset": {
            "n_samples": dict(dataset.meta.n_samples),
            "n_tokens": dict(dataset.meta.n_tokens),
            **dataset.meta.extra,
        },
        "bits": likelihood(checkpoint, dataset),
        "classifier_accuracy": held_out_accuracy(classifier, renderer),
        "held_out": {
            "near_copies": float((rms < NEAR_COPY_RMS).mean()),
            "median_rms": float(np.median(rms)),
        },
        "samples": {
            f"{scale:g}": asdict(sample_score(checkpoint, classifier, training, scale))
            for scale in CFG_SCALES
        },
    }
