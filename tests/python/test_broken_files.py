"""Whatever stands in a file that we read, the answer is a value or an error of ours."""

import contextlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pycodec_lm as pcl
from pycodec_lm.errors import CodecLMError

pytest.importorskip("torch")

from pycodec_lm.models.checkpoint import (
    CONFIG_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    Checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from pycodec_lm.models.config import TransformerConfig
from pycodec_lm.models.transformer import Transformer

# Small numbers only: a model of the size that a file asks for is made before its weights are read.
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 64)
    | st.floats(allow_nan=True)
    | st.text(max_size=4)
    | st.sampled_from(["\u2800", "\u28ff \u2801", "\ud800", "BPE"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside a JSON value."""
    yield path
    if isinstance(value, dict):
        keys = list(value)
    else:
        keys = list(range(len(value))) if isinstance(value, list) else []
    for key in keys:
        yield from paths_of(value[key], (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def mutated(data: bytes, seed: int) -> bytes:
    """A few bytes changed, dropped or doubled."""
    rng = random.Random(seed)
    out = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(out))
        change = rng.randrange(3)
        if change == 0:
            out[at] = rng.choice([0, 0x22, 0x7B, 0x80, 0xFF, rng.randrange(256)])
        elif change == 1:
            del out[at : at + rng.randrange(1, 9)]
        else:
            out[at:at] = out[at : at + rng.randrange(1, 9)]
        if not out:
            break
    return bytes(out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small checkpoint with a tokenizer of its own."""
    tokenizer = pcl.ByteTokenizer.train([bytes(range(256)) * 3], 256 + 3 + 5)
    config = TransformerConfig(
        vocab_size=tokenizer.vocab_size, dim=16, n_layers=1, n_heads=2, max_seq_len=8, ffn_dim=16
    )
    path = tmp_path_factory.mktemp("broken") / "checkpoint"
    save_checkpoint(path, Checkpoint(Transformer(config), tokenizer=tokenizer))
    return path


@contextlib.contextmanager
def changed(path: Path, data: bytes) -> Iterator[None]:
    """The file with other contents, for a while."""
    kept = path.with_name(path.name + ".kept")
    shutil.copyfile(path, kept)
    try:
        path.write_bytes(data)
        yield
    finally:
        kept.replace(path)


def with_another_value(path: Path, data: st.DataObject) -> bytes:
    """The JSON of the file with some value replaced."""
    content = json.loads(path.read_text())
    at = data.draw(st.sampled_from([*paths_of(content)]))
    return json.dumps(replaced(content, at, data.draw(JSON_VALUES))).encode()


def loads_or_says_why(load: Callable[[], object]) -> None:
    with contextlib.suppress(CodecLMError):
        load()


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_tokenizer_json_with_another_value_somewhere(folder: Path, data: st.DataObject) -> None:
    path = folder / TOKENIZER_FILE
    with changed(path, with_another_value(path, data)):
        loads_or_says_why(lambda: pcl.ByteTokenizer.load(path))
        loads_or_says_why(lambda: pcl.TokenizerInfo.from_file(path))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1 << 32), name=st.sampled_from([TOKENIZER_FILE, CONFIG_FILE]))
def test_json_with_other_bytes(folder: Path, seed: int, name: str) -> None:
    path = folder / name
    # Ten digits more in a size would be a model of that size.
    data = mutated(path.read_bytes(), seed)
    if name == CONFIG_FILE and any(len(run) > 4 for run in digit_runs(data)):
        return
    with changed(path, data):
        loads_or_says_why(lambda: load_checkpoint(folder))


def digit_runs(data: bytes) -> list[bytes]:
    return bytes(b if 48 <= b < 58 else 32 for b in data).split()


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_config_with_another_value_somewhere(folder: Path, data: st.DataObject) -> None:
    path = folder / CONFIG_FILE
    with changed(path, with_another_value(path, data)):
        loads_or_says_why(lambda: load_checkpoint(folder))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1 << 32))
def test_safetensors_with_another_header(folder: Path, seed: int) -> None:
    path = folder / WEIGHTS_FILE
    whole = path.read_bytes()
    n_header = 8 + int.from_bytes(whole[:8], "little")
    with changed(path, mutated(whole[:n_header], seed) + whole[n_header:]):
        loads_or_says_why(lambda: load_checkpoint(folder))


@pytest.mark.parametrize("name", [TOKENIZER_FILE, CONFIG_FILE])
def test_json_that_is_nested_too_deep(folder: Path, name: str) -> None:
    with changed(folder / name, b"[" * 100_000), pytest.raises(CodecLMError):
        load_checkpoint(folder)


def test_a_grammar_that_is_nested_too_deep() -> None:
    with pytest.raises(CodecLMError):
        pcl.JpegGrammar.deserialize(b"[" * 100_000)


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 1 << 32))
def test_a_serialized_grammar_with_other_bytes(seed: int) -> None:
    data = pcl.JpegGrammar.jpeg_lm(16, 16).serialize()
    loads_or_says_why(lambda: pcl.JpegGrammar.deserialize(mutated(data, seed)))
