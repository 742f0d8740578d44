"""The training loop: AdamW on next-token loss, validated against the count table, resumable.

A run on CPU that is killed at any moment and resumed has the losses of an undisturbed one, bit for
bit: the state holds weights, moments, generators and the sampler's place, and what is random in a
step is drawn from (seed, step).
"""

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pycodec_lm.data.dataset import IGNORED, Batch, BatchSampler
from pycodec_lm.data.shards import TokenDataset
from pycodec_lm.errors import CodecLMError, UsageError
from pycodec_lm.models.checkpoint import Checkpoint, save_checkpoint
from pycodec_lm.models.config import TransformerConfig
from pycodec_lm.models.transformer import Transformer
from pycodec_lm.training.config import TrainingConfig
from pycodec_lm.training.evaluate import Score, evaluate_model
from pycodec_lm.training.feed import Feed, Floor, Track, untracked
from pycodec_lm.training.state import (
    METRICS_FILE,
    STATE_FILE,
    MetricsLog,
    lr_factor,
    read_state,
    write_state,
)

__all__ = ["Hooks", "Trainer"]

# Fewer shapes on a GPU mean fewer compiled kernels; on a CPU padding only costs.
_CUDA_PAD_MULTIPLE = 64


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a run tells its caller while it goes on; all of it also stands in the log.

    on_step(step, entry): a logged step; on_validation(step, score); on_floor(floor): once.
    """

    on_step: Callable[[int, Mapping[str, Any]], None] = lambda _step, _entry: None
    on_validation: Callable[[int, Score], None] = lambda _step, _score: None
    on_floor: Callable[[Floor], None] = lambda _floor: None
    track: Track = untracked


class Trainer:
    """One training run in one folder.

    Args:
        config: all sections.
        out: folder of the checkpoint, the state and the log; made when missing.
        resume: go on from the folder's state; without one there the run begins anew.
        hooks: progress.

    Raises:
        UsageError: no dataset; a folder with a run that is not to be resumed; a config or dataset
            that does not fit the run to resume.
    """

    def __init__(
        self, config: TrainingConfig, out: Path, *, resume: bool = False, hooks: Hooks | None = None
    ) -> None:
        self.config, self.out, self.hooks = config, Path(out), hooks or Hooks()
        state = self._find_state(resume)
        if not config.data.folder:
            raise UsageError("no dataset given; set data.folder or use --data")
        dataset = TokenDataset(config.data.folder)
        self.device, self.autocast = _device(config)
        if config.train.threads is not None:
            torch.set_num_threads(config.train.threads)
        self.feed = Feed(
            dataset,
            codec_inputs=config.model.codec_inputs,
            device=self.device,
            max_val_samples=config.data.val_samples,
            memory_mb=config.data.memory_mb,
            pad_multiple=_CUDA_PAD_MULTIPLE if self.device.type == "cuda" else 1,
            track=self.hooks.track,
        )
        torch.manual_seed(config.train.seed)
        self.model = Transformer(self._model_config()).to(self.device)
        self.forward: Callable[..., Tensor] = (
            torch.compile(self.model) if config.train.compile else self.model
        )
        self.average: dict[str, Tensor] | None = None
        if config.train.ema_decay:
            self.average = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.optimizer = _optimizer(self.model, config)
        self.sampler = BatchSampler(
            self.feed.lengths, config.data.batch_size, seed=config.train.seed
        )
        self.nulls = torch.tensor(self.feed.meta.null_conditions, device=self.device)
        self.log = MetricsLog(self.out / METRICS_FILE)
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self._n_losses = 0
        self._last_score: Score | None = None
        self.floor: Floor | None = None
        self.out.mkdir(parents=True, exist_ok=True)
        if state is not None:
            self._restore(state)
        # A run that goes on from step 0 scores the untrained model once more.
        self.log.forget_after(self.step or -1)

    def _find_state(self, resume: bool) -> dict[str, Any] | None:
        exists = (self.out / STATE_FILE).exists()
        if exists and not resume:
            raise UsageError(f"{self.out}: holds a training run; use --resume or another folder")
        if not resume or not exists:
            return None
        state = read_state(self.out)
        self.config.check_resumable(TrainingConfig.from_dict(state["config"]))
        return state

    def _model_config(self) -> TransformerConfig:
        asked, meta = self.config.model, self.feed.meta
        longest = int(self.feed.lengths.max()) + 1  # <bos>
        max_seq_len = asked.max_seq_len
        if max_seq_len is None:
            max_seq_len = -(-longest * 5 // (4 * 64)) * 64
        if longest > max_seq_len:
            raise UsageError(
                f"model.max_seq_len = {max_seq_len}, but the longest sample has {longest} "
                "positions; raise it or prepare shorter samples"
            )
        return TransformerConfig(
            **dataclasses.asdict(asked)
            | {
                "vocab_size": meta.vocab_size,
                "max_seq_len": max_seq_len,
                "codec_inputs": self.feed.codec_inputs,
                "conditions": tuple(
                    (name, len(labels)) for name, labels in meta.conditions.items()
                ),
            }
        )

    def run(self) -> dict[str, Any]:
        """Trains to the end, and leaves the checkpoint; returns the summary of its config.json."""
        train = self.config.train
        self.floor = self.feed.floor(train.seed)
        if self.floor is not None:
            self.hooks.on_floor(self.floor)
        if self.step == 0:
            self._log_floor()
            self._validate()
            self._save_state()
        began = time.monotonic() - self.seconds
        while self.step < train.steps and self._share(began) < 1.0:
            self._train_step(self._share(began))
            self.seconds = time.monotonic() - began
            is_last = self.step >= train.steps or self._share(began) >= 1.0
            if self.step % train.log_every == 0 or is_last:
                self._log_losses()
            if self.step % train.validate_every == 0 or is_last:
                self._validate()
            if self.step % train.checkpoint_every == 0 and not is_last:
                self._save_state()
                self._export()
        self.seconds = time.monotonic() - began
        self._save_state()
        return self._export()

    def _share(self, began: float) -> float:
        """How much of the run is done, by steps or by the clock."""
        limit = self.config.train.max_minutes
        by_clock = 0.0 if limit is None else (time.monotonic() - began) / max(1e-9, 60 * limit)
        return min(1.0, max(self.step / self.config.train.steps, by_clock))

    def _train_step(self, progress: float) -> None:
        optim, train = self.config.optim, self.config.train
        factor = lr_factor(
            self.step,
            progress,
            schedule=optim.schedule,
            warmup_steps=optim.warmup_steps,
            final_ratio=optim.final_lr_ratio,
            decay_share=optim.decay_share,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = optim.lr * factor
        batches = [self.feed.batch(self.sampler.next()) for _ in range(train.accumulate)]
        n_labels = sum(batch.n_labels for batch in batches)
        self.model.train()
        for part, batch in enumerate(batches):
            loss = self._loss(batch, part) / n_labels
            loss.backward()  # type: ignore[no-untyped-call]
            self._loss_sum += loss.detach()
        if optim.grad_clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), optim.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            with torch.no_grad():
                torch._foreach_lerp_(
                    list(self.average.values()),
                    list(self.model.parameters()),
                    1.0 - min(train.ema_decay, (1 + self.step) / (10 + self.step)),
                )
        self.step, self._n_losses = self.step + 1, self._n_losses + 1
        self.tokens += n_labels

    def _loss(self, batch: Batch, part: int) -> Tensor:
        """Summed over the labels of a batch, in nats."""
        conditions = batch.conditions_BC
        if len(self.nulls):
            random = np.random.default_rng([self.config.train.seed, 1, self.step, part])
            dropped = random.random(conditions.shape) < self.config.train.condition_dropout
            dropped_on_device = torch.from_numpy(dropped).to(self.device, non_blocking=True)
            conditions = torch.where(dropped_on_device, self.nulls, conditions)
        with torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None):
            logits = self.forward(batch.tokens_BT, batch.annotations_BTF, conditions)
        return F.cross_entropy(
            logits.float().flatten(0, 1),
            batch.labels_BT.flatten(),
            ignore_index=IGNORED,
            reduction="sum",
        )

    def _log_losses(self) -> None:
        loss = float(self._loss_sum) / self._n_losses
        if not np.isfinite(loss):
            raise CodecLMError(
                f"the loss is {loss} at step {self.step}; lower optim.lr and begin another folder"
            )
        entry = {
            "step": self.step,
            "loss": loss,
            "lr": self.optimizer.param_groups[0]["lr"],
            "epoch": self.sampler.epoch,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 3),
        }
        self.log.write(entry)
        self.hooks.on_step(self.step, entry)
        self._loss_sum.zero_()
        self._n_losses = 0

    def _log_floor(self) -> None:
        if self.floor is not None:
            self.log.write({"step": 0, "floor": dataclasses.asdict(self.floor)})

    def _validate(self) -> None:
        if self.feed.val is None:
            return
        with _Weights(self.model, self.average):
            score = evaluate_model(
                self.model,
                self.feed.val,
                self.feed.legal,
                batch_size=self.config.data.batch_size,
                autocast=self.autocast,
            )
        self._last_score = score
        self.log.write({"step": self.step, "val": dataclasses.asdict(score)})
        self.hooks.on_validation(self.step, score)

    def _save_state(self) -> None:
        is_cuda = self.device.type == "cuda"
        state = {
            "config": self.config.to_dict(),
            "model_config": self.model.config.to_dict(),
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "sampler": self.sampler.state(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state(self.device) if is_cuda else None,
            "loss_sum": self._loss_sum,
            "n_losses": self._n_losses,
            "score": None if self._last_score is None else dataclasses.asdict(self._last_score),
        }
        write_state(self.out, state)

    def _restore(self, state: dict[str, Any]) -> None:
        earlier = TransformerConfig.from_dict(state["model_config"])
        if earlier != self.model.config:
            raise UsageError(
                f"{self.out}: the run to resume has a vocabulary of {earlier.vocab_size} and "
                f"conditions {dict(earlier.conditions)}; {self.config.data.folder} has "
                f"{self.model.config.vocab_size} and {dict(self.model.config.conditions)}, or "
                "samples of other lengths"
            )
        self.sampler.load_state(state["sampler"])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average = {name: p.to(self.device) for name, p in state["average"].items()}
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_rng"], self.device)
        self.step, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]
        self._loss_sum.copy_(state["loss_sum"])
        self._n_losses = state["n_losses"]
        self._last_score = None if state["score"] is None else Score(**state["score"])

    def _export(self) -> dict[str, Any]:
        meta, floor = self.feed.meta, self.floor
        settings = meta.extra.get("settings")
        summary = {
            "steps": self.step,
            "tokens": self.tokens,
            "seconds": round(self.seconds, 1),
            "epochs": self.sampler.epoch,
            "n_train_samples": len(self.feed.lengths),
            "n_parameters": self.model.n_parameters,
            "val": None if self._last_score is None else dataclasses.asdict(self._last_score),
            "floor": None if floor is None else dataclasses.asdict(floor),
            "config": self.config.to_dict(),
            **({} if settings is None else {"settings": settings}),
        }
        with _Weights(self.model, self.average):
            checkpoint = Checkpoint(
                self.model, meta.grammar, self.feed.tokenizer, meta.conditions, summary, meta.codec
            )
            save_checkpoint(self.out, checkpoint, dtype=self.config.train.weights)
        return summary


class _Weights:
    """Puts other weights into a model for the length of a block; None = leave it as it is."""

    def __init__(self, model: nn.Module, weights: Mapping[str, Tensor] | None) -> None:
        self._model, self._weights = model, weights

    def _swap(self) -> None:
        if self._weights is None:
            return
        with torch.no_grad():
            for name, parameter in self._model.named_parameters():
                kept = parameter.clone()
                parameter.copy_(self._weights[name])
                self._weights[name].copy_(kept)

    def __enter__(self) -> None:
        self._swap()

    def __exit__(self, *_: object) -> None:
        self._swap()


def _device(config: TrainingConfig) -> tuple[torch.device, torch.dtype | None]:
    """The device of a run, and the dtype of its matrix products (None = float32)."""
    name = config.train.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"train.device = '{name}' is no device torch knows") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"train.device = '{name}', but torch finds no CUDA device here")
    precision = config.train.precision
    if precision == "auto":
        precision = "bfloat16" if device.type == "cuda" else "float32"
    return device, torch.bfloat16 if precision == "bfloat16" else None


def _optimizer(model: Transformer, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW; embeddings and norms are not decayed."""
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim == 2 and "embedding" not in name
        (decayed if is_matrix else kept).append(parameter)
    optim = config.optim
    return torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": optim.weight_decay},
            {"params": kept, "weight_decay": 0.0},
        ],
        lr=optim.lr,
        betas=(optim.beta1, optim.beta2),
        fused=True,
    )
