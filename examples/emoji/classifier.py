"""A small convolutional network that names the emoji on a picture.

It is trained on renderings after JPEG coding and judged on held-out ones. What it says of generated
pictures measures how far they can be recognised.

    python examples/emoji/classifier.py RUN/classifier.safetensors

Shape suffixes: N pictures, C channels, H, W pixels, K classes.
"""
# ruff: noqa: N803, N806  # names carry the shape of their tensor

import argparse
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from render import SETTINGS, Renderer, read_emoji
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from pycodec_lm.codecs.jpeg import decode, encode

N_TRAIN = 10_800
N_HELD_OUT = 2_160
_EPOCHS = 5
_BATCH = 108
_WIDTHS = (24, 48, 96, 128)
# Whole pictures are judged some hundred at a time: more would only take memory.
_BATCH_JUDGED = 500


class Classifier(nn.Module):
    """Four convolutions, each at half the size of the one before, and a linear layer.

    Args:
        classes: the names, in the order of the outputs.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__()
        self.classes = list(classes)
        layers: list[nn.Module] = []
        n_in = 3
        for width in _WIDTHS:
            layers += [
                nn.Conv2d(n_in, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            n_in = width
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(_WIDTHS[-1] * 4, len(self.classes))

    def forward(self, pictures_NCHW: Tensor) -> Tensor:
        """Scores of each class, [N, K], for pictures in uint8."""
        features = self.features(pictures_NCHW.float() / 127.5 - 1)
        scores_NK: Tensor = self.head(features.flatten(1))
        return scores_NK

    @torch.inference_mode()
    def ranks(self, pictures_NCHW: Tensor, labels_N: Tensor) -> Tensor:
        """How many classes score higher than the true one: 0 where the picture is named right."""
        self.eval()
        ranks = []
        for part, labels in zip(
            pictures_NCHW.split(_BATCH_JUDGED), labels_N.split(_BATCH_JUDGED), strict=True
        ):
            scores_NK = self(part)
            ranks.append((scores_NK > scores_NK.gather(1, labels[:, None])).sum(1))
        return torch.cat(ranks)


def to_tensor(images: Iterable[Image.Image]) -> Tensor:
    """Pictures of one size as uint8 [N, C, H, W]."""
    stacked = np.stack([np.asarray(image.convert("RGB")) for image in images])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()


def renderings(renderer: Renderer, n: int, seed: int, *, held_out: bool) -> tuple[Tensor, Tensor]:
    """Pictures as they look after JPEG coding, and the numbers of their names."""
    numbers = {name: number for number, name in enumerate(renderer.classes["name"])}
    images, labels = [], []
    for image, conditions in renderer.pictures(n, seed=seed, held_out=held_out):
        images.append(decode(encode(image, SETTINGS)))
        labels.append(numbers[conditions["name"]])
    return to_tensor(images), torch.tensor(labels)


def train(renderer: Renderer, *, seed: int = 0) -> Classifier:
    """Trains a classifier of the renderer's emoji; a minute or two on a CPU."""
    torch.manual_seed(seed)
    pictures_NCHW, labels_N = renderings(renderer, N_TRAIN, seed + 1000, held_out=False)
    model = Classifier(renderer.classes["name"])
    n_steps = _EPOCHS * (len(labels_N) // _BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=n_steps)
    model.train()
    for _ in range(_EPOCHS):
        order = torch.randperm(len(labels_N))
        for rows in order[: len(order) // _BATCH * _BATCH].split(_BATCH):
            loss = F.cross_entropy(model(pictures_NCHW[rows]), labels_N[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def held_out_accuracy(model: Classifier, renderer: Renderer, *, seed: int = 0) -> float:
    """The share of held-out renderings that the classifier names right."""
    pictures_NCHW, labels_N = renderings(renderer, N_HELD_OUT, seed + 2000, held_out=True)
    return float((model.ranks(pictures_NCHW, labels_N) == 0).float().mean())


def save(model: Classifier, path: Path) -> None:
    """Writes weights and class names as one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), path)
    path.with_suffix(".txt").write_text("\n".join(model.classes) + "\n", encoding="utf-8")


def load(path: Path) -> Classifier:
    """Reads what `save` wrote."""
    model = Classifier(path.with_suffix(".txt").read_text(encoding="utf-8").splitlines())
    model.load_state_dict(load_file(path))
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="where the weights go")
    args = parser.parse_args()
    began = time.monotonic()
    renderer = Renderer(read_emoji())
    model = train(renderer)
    save(model, args.out)
    accuracy = held_out_accuracy(model, renderer)
    print(f"{args.out}: {accuracy:.2%} of held-out renderings, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
