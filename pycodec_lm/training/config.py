"""Training configuration: TOML sections as dataclasses, unknown keys refused.

[data]
folder = "emoji"
[optim]
lr = 2e-3
"""

import dataclasses
import os
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pycodec_lm.errors import UsageError

__all__ = ["DataConfig", "ModelConfig", "OptimConfig", "TrainConfig", "TrainingConfig"]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Shape of the model; vocabulary and conditions come from the dataset.

    max_seq_len and codec_inputs None: a quarter more than the longest sample, and on where the
    dataset has a grammar.
    """

    dim: int = 160
    n_layers: int = 5
    n_heads: int = 4
    n_kv_heads: int | None = None
    ffn_dim: int | None = None
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5
    max_seq_len: int | None = None
    tie_embeddings: bool = False
    codec_inputs: bool | None = None
    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Which samples, and how many at once.

    memory_mb: a split that takes more (12 bytes a token with codec inputs) is read from disk batch
    by batch instead of being packed in memory.
    """

    folder: str = ""
    batch_size: int = 32
    val_samples: int = 512
    memory_mb: int = 4096


@dataclass(frozen=True, slots=True)
class OptimConfig:
    """AdamW and its schedule.

    schedule: "cosine", or "wsd": constant after the warm-up, then linear down over the last
    decay_share of the run. Both end at lr * final_lr_ratio.
    """

    lr: float = 3e-3
    beta1: float = 0.9
    beta2: float = 0.95
    weight_decay: float = 0.1
    grad_clip: float = 1.0
    schedule: str = "cosine"
    warmup_steps: int = 100
    final_lr_ratio: float = 0.02
    decay_share: float = 0.3


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """The run.

    max_minutes: the run ends then at the latest, and the schedule with it. Such a run follows the
    clock, so it cannot be repeated bit by bit.
    ema_decay: 0 = off; otherwise validation and the final checkpoint use averaged weights.
    device: "auto" (CUDA where there is one), "cpu", "cuda", "cuda:1".
    precision: "auto" (bfloat16 on CUDA, float32 on CPU), "float32", "bfloat16".
    weights: how the final checkpoint stores its weights.
    """

    steps: int = 3000
    max_minutes: float | None = None
    seed: int = 0
    accumulate: int = 1
    condition_dropout: float = 0.1
    validate_every: int = 250
    log_every: int = 10
    checkpoint_every: int = 250
    ema_decay: float = 0.0
    device: str = "auto"
    precision: str = "auto"
    compile: bool = False
    threads: int | None = None
    weights: str = "float32"


# Keys that a resumed run may change: they do not reach into the order of samples or the weights
# (steps and max_minutes do, knowingly).
_FREE_ON_RESUME = {
    "data.folder",
    "data.memory_mb",
    "data.val_samples",
    "train.steps",
    "train.max_minutes",
    "train.validate_every",
    "train.log_every",
    "train.checkpoint_every",
    "train.device",
    "train.compile",
    "train.threads",
    "train.weights",
}

_RANGES: dict[str, tuple[float, float]] = {
    "data.batch_size": (1, 1 << 20),
    "data.val_samples": (0, 1 << 30),
    "data.memory_mb": (0, 1 << 30),
    "optim.lr": (0.0, 10.0),
    "optim.beta1": (0.0, 0.9999999),
    "optim.beta2": (0.0, 0.9999999),
    "optim.weight_decay": (0.0, 10.0),
    "optim.grad_clip": (0.0, 1e9),
    "optim.warmup_steps": (0, 1 << 40),
    "optim.final_lr_ratio": (0.0, 1.0),
    "optim.decay_share": (0.0, 1.0),
    "train.steps": (1, 1 << 40),
    "train.max_minutes": (0.0, 1e9),
    "train.seed": (0, (1 << 63) - 1),
    "train.accumulate": (1, 1 << 20),
    "train.condition_dropout": (0.0, 1.0),
    "train.validate_every": (1, 1 << 40),
    "train.log_every": (1, 1 << 40),
    "train.checkpoint_every": (1, 1 << 40),
    "train.ema_decay": (0.0, 0.9999999),
    "train.threads": (1, 1 << 16),
}

_CHOICES = {
    "optim.schedule": ("cosine", "wsd"),
    "train.precision": ("auto", "float32", "bfloat16"),
    "train.weights": ("float32", "float16", "bfloat16"),
}


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """All sections of a training run.

    Example:
        >>> config = TrainingConfig.from_dict({"optim": {"lr": 1e-3}})
        >>> config.optim.lr, config.train.steps
        (0.001, 3000)
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        for key, (low, high) in _RANGES.items():
            value = self.value(key)
            if value is not None and not low <= value <= high:
                raise UsageError(f"{key} = {value}, must be in [{low:g}, {high:g}]")
        for key, choices in _CHOICES.items():
            if self.value(key) not in choices:
                raise UsageError(
                    f"{key} = '{self.value(key)}', must be one of {', '.join(choices)}"
                )

    def value(self, key: str) -> Any:
        """The value of "section.name"."""
        section, name = key.split(".")
        return getattr(getattr(self, section), name)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain values; `from_dict` takes them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Raises UsageError for an unknown section or key, or a value of another type or range."""
        sections = {section.name: section.type for section in dataclasses.fields(cls)}
        for name in values:
            if name not in sections:
                raise UsageError(
                    f"config has an unknown section [{name}], known are "
                    f"{', '.join(f'[{known}]' for known in sections)}"
                )
        return cls(
            **{
                name: _section(typing.cast(type, kind), name, values.get(name, {}))
                for name, kind in sections.items()
            }
        )

    @classmethod
    def read_toml(cls, path: str | os.PathLike[str]) -> dict[str, Any]:
        """The sections of a TOML file, not yet checked. Raises UsageError when it is no TOML."""
        try:
            return tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{path}: unreadable config ({error})") from error

    def check_resumable(self, earlier: "TrainingConfig") -> None:
        """Raises UsageError when a run under `earlier` cannot go on under this config."""
        for section, values in self.to_dict().items():
            for name, value in values.items():
                key = f"{section}.{name}"
                before = earlier.value(key)
                if key not in _FREE_ON_RESUME and value != before:
                    raise UsageError(
                        f"{key} = {value}, but the run to resume has {before}; "
                        "leave it as it was or begin another folder"
                    )


def apply_overrides(values: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Sets "section.key=value" strings in nested sections; values are read as TOML or as text."""
    result = {name: dict(section) for name, section in values.items()}
    for override in overrides:
        key, equals, text = override.partition("=")
        section, dot, name = key.strip().partition(".")
        if not (equals and dot and name):
            raise UsageError(f"--set {override}: must read section.key=value")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        result.setdefault(section, {})[name] = value
    return result


def _section(kind: type, section: str, values: Any) -> Any:
    if not isinstance(values, Mapping):
        raise UsageError(f"config entry '{section}' must be a section [{section}]")
    hints = typing.get_type_hints(kind)
    checked = {}
    for name, value in values.items():
        if name not in hints:
            raise UsageError(
                f"config section [{section}] has an unknown key '{name}', known are "
                f"{', '.join(sorted(hints))}"
            )
        checked[name] = _typed(value, hints[name], f"{section}.{name}")
    return kind(**checked)


def _typed(value: Any, hint: Any, key: str) -> Any:
    allowed = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    # bool is a subclass of int, so the types are compared exactly.
    if type(value) not in allowed:
        names = " or ".join("none" if kind is type(None) else kind.__name__ for kind in allowed)
        raise UsageError(f"{key} = {value!r}, must be {names}")
    return value
