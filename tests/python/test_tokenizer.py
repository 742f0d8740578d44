"""`ByteTokenizer` and `TokenizerInfo.from_file`: the identity on bytes, files good and bad."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

import pycodec_lm as pcl
from pycodec_lm._tokenizer_json import bytes_of, text_of


def skewed_bytes(seed: int) -> bytes:
    """Bytes of which the small ones are common, so that there is something to merge."""
    generator = random.Random(seed)
    return bytes(min(255, int(generator.expovariate(0.1))) for _ in range(2000))


SAMPLES = [*map(skewed_bytes, range(5)), bytes(range(256))]
TRAINED = pcl.ByteTokenizer.train(SAMPLES, 320)


@pytest.fixture
def tokenizer() -> pcl.ByteTokenizer:
    return TRAINED


def merge_one_by_one(data: bytes, merges: list[tuple[bytes, bytes]]) -> list[bytes]:
    """BPE by its definition: the earliest learned merge first, from left to right."""
    tokens = [bytes([value]) for value in data]
    for pair in merges:
        merged: list[bytes] = []
        for token in tokens:
            if merged and (merged[-1], token) == pair:
                merged[-1] += token
            else:
                merged.append(token)
        tokens = merged
    return tokens


def test_ids_are_bytes_then_merges_then_specials(tokenizer: pcl.ByteTokenizer) -> None:
    assert tokenizer.vocab_size == 320
    assert tokenizer.encoded_vocab[:256] == [bytes([value]) for value in range(256)]
    assert tokenizer.encoded_vocab[256] == b"".join(tokenizer.merges[0])
    assert (tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id) == (317, 318, 319)
    assert tokenizer.encoded_vocab[317:] == [b"", b"", b""]


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_encode_then_decode_is_the_identity(data: bytes) -> None:
    for tokenizer in (pcl.ByteTokenizer.bytes_only(), TRAINED):
        assert tokenizer.decode(tokenizer.encode(data)) == data


@settings(deadline=None)
@given(st.lists(st.sampled_from(range(12)), max_size=200).map(bytes))
def test_encode_is_byte_pair_encoding(data: bytes) -> None:
    tokens = [TRAINED.encoded_vocab[token_id] for token_id in TRAINED.encode(data)]
    assert tokens == merge_one_by_one(data, TRAINED.merges)


def test_every_byte_alone_and_in_long_runs(tokenizer: pcl.ByteTokenizer) -> None:
    for value in range(256):
        for data in (bytes([value]), bytes([value]) * 1000):
            assert tokenizer.decode(tokenizer.encode(data)) == data


def test_batch_equals_one_by_one(tokenizer: pcl.ByteTokenizer) -> None:
    samples = [*SAMPLES, b"", b"\xff"]
    assert tokenizer.encode_batch(samples) == [tokenizer.encode(sample) for sample in samples]


def test_training_twice_gives_the_same_merges(tokenizer: pcl.ByteTokenizer) -> None:
    assert pcl.ByteTokenizer.train(iter(SAMPLES), 320).merges == tokenizer.merges


def test_training_stops_where_nothing_stands_twice() -> None:
    assert pcl.ByteTokenizer.train([b"\x01\x02\x01\x02"], 500).merges == [(b"\x01", b"\x02")]


def test_two_merges_to_the_same_bytes_share_a_token() -> None:
    tokenizer = pcl.ByteTokenizer([(b"b", b"c"), (b"a", b"bc"), (b"a", b"b"), (b"ab", b"c")])
    assert tokenizer.encoded_vocab[256:-3] == [b"bc", b"abc", b"ab"]
    assert tokenizer.decode(tokenizer.encode(b"abcab")) == b"abcab"


def test_saved_file_loads_again(tokenizer: pcl.ByteTokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    for saved in (tokenizer, pcl.ByteTokenizer.bytes_only()):
        saved.save(path)
        loaded = pcl.ByteTokenizer.load(path)
        assert loaded.merges == saved.merges
        assert loaded.encoded_vocab == saved.encoded_vocab
    assert [entry.name for entry in tmp_path.iterdir()] == ["tokenizer.json"]


def test_saved_file_is_what_hugging_face_reads(
    tokenizer: pcl.ByteTokenizer, tmp_path: Path
) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    theirs = Tokenizer.from_file(str(path))
    assert theirs.get_vocab_size() == tokenizer.vocab_size
    assert theirs.token_to_id("<eos>") == tokenizer.eos_id
    ids = theirs.encode(text_of(SAMPLES[0])).ids
    assert ids == tokenizer.encode(SAMPLES[0])
    assert bytes_of(theirs.decode(ids)) == SAMPLES[0]


def test_info_says_which_ids_are_no_bytes(tokenizer: pcl.ByteTokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    for info in (tokenizer.info(), pcl.TokenizerInfo.from_file(path)):
        assert isinstance(info, pcl.TokenizerInfo)
        assert info.vocab_size == tokenizer.vocab_size
        assert info.encoded_vocab == tokenizer.encoded_vocab
        assert info.stop_token_ids == [tokenizer.eos_id]
        assert info.special_token_ids == [tokenizer.pad_id, tokenizer.bos_id]


def test_stop_tokens_can_be_named(tokenizer: pcl.ByteTokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    info = pcl.TokenizerInfo.from_file(path, stop_tokens=["<bos>"])
    assert info.stop_token_ids == [tokenizer.bos_id]
    assert info.special_token_ids == [tokenizer.pad_id, tokenizer.eos_id]
    with pytest.raises(pcl.UsageError, match="has no token <end>"):
        pcl.TokenizerInfo.from_file(path, stop_tokens=["<end>", "<bos>"])


@pytest.mark.parametrize("token_id", [-1, 320, 10**12])
def test_decode_refuses_ids_out_of_range(tokenizer: pcl.ByteTokenizer, token_id: int) -> None:
    with pytest.raises(pcl.UsageError, match="not in the vocabulary of 320 tokens"):
        tokenizer.decode([0, token_id])


def test_vocabulary_below_259_is_refused() -> None:
    with pytest.raises(pcl.UsageError, match="too small"):
        pcl.ByteTokenizer.train(SAMPLES, 258)
    assert pcl.ByteTokenizer.train(SAMPLES, 259).merges == []


@pytest.mark.parametrize("samples", [[], [b"", b""]])
def test_nothing_to_learn_from_is_refused(samples: list[bytes]) -> None:
    with pytest.raises(pcl.UsageError, match="nothing to learn"):
        pcl.ByteTokenizer.train(samples, 320)


def test_merge_before_its_parts_is_refused() -> None:
    with pytest.raises(pcl.UsageError, match="before one of its parts"):
        pcl.ByteTokenizer([(b"ab", b"c")])


def changed(change: dict[str, Any]) -> str:
    content = json.loads(pcl.ByteTokenizer([(b"a", b"b")]).to_json())
    model = content["model"] | change.pop("model", {})
    return json.dumps(content | {"model": model} | change)


BROKEN_FILES = {
    "empty": "",
    "no JSON": "\x00\x01",
    "a list": "[]",
    "deeply nested": "[" * 100_000,
    "another model": changed({"model": {"type": "Unigram"}}),
    "no vocabulary": changed({"model": {"vocab": None}}),
    "a huge id": changed({"model": {"vocab": {text_of(b"a"): 10**15}}}),
    "an id twice": changed({"model": {"vocab": {text_of(b"a"): 0, text_of(b"b"): 0}}}),
    "an id that is text": changed({"model": {"vocab": {text_of(b"a"): "0"}}}),
    "a merge of three": changed({"model": {"merges": [["a", "b", "c"]]}}),
    "merges in other letters": changed({"model": {"merges": [["a", "b"]]}}),
    "merges that are a number": changed({"model": {"merges": 7}}),
    "an added token without content": changed({"added_tokens": [{"id": 256}]}),
}


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_broken_file_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(BROKEN_FILES[name])
    for load in (pcl.ByteTokenizer.load, pcl.TokenizerInfo.from_file):
        with pytest.raises(pcl.UsageError, match=r"tokenizer\.json") as caught:
            load(path)
        assert "\n" not in str(caught.value)


FOREIGN_FILES = {
    "other order": {"model": {"vocab": {text_of(bytes([i])): 255 - i for i in range(256)}}},
    "a pre-tokeniser": {"pre_tokenizer": {"type": "Whitespace"}},
    "no specials": {"added_tokens": []},
}


@pytest.mark.parametrize("name", FOREIGN_FILES)
def test_file_of_another_package_is_refused_by_load(name: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(changed(dict(FOREIGN_FILES[name])))
    with pytest.raises(pcl.UsageError, match=r"not a (usable )?tokenizer"):
        pcl.ByteTokenizer.load(path)


def test_info_reads_ids_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    vocab = {"</s>": 0, "<unk>": 1} | {text_of(bytes([i])): 257 - i for i in range(256)}
    specials = [{"id": i, "content": name, "special": True} for name, i in [*vocab.items()][:2]]
    path.write_text(changed({"added_tokens": specials, "model": {"vocab": vocab, "merges": []}}))
    info = pcl.TokenizerInfo.from_file(path)
    assert info.encoded_vocab == [b"", b"", *(bytes([i]) for i in range(255, -1, -1))]
    assert (info.stop_token_ids, info.special_token_ids) == ([0], [1])


def test_info_refuses_tokens_that_are_no_bytes(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(
        changed({"added_tokens": [], "model": {"vocab": {"hello": 0, "<eos>": 1}, "merges": []}})
    )
    with pytest.raises(pcl.UsageError, match="'hello' is not in the JPEG-LM form"):
        pcl.TokenizerInfo.from_file(path)
