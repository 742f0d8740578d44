"""Serialized grammars find their classes again."""

import json

import pytest

from pycodec_lm import AvcGrammar, JpegGrammar
from pycodec_lm.errors import UsageError
from pycodec_lm.grammars import deserialize_grammar, grammar_of_codec

GRAMMARS = {
    "jpeg": JpegGrammar.jpeg_lm(width=32, height=32),
    "avc": AvcGrammar.avc_lm(64, 48, 4),
}


@pytest.mark.parametrize("codec", GRAMMARS)
def test_a_grammar_comes_back_as_what_it_was(codec: str) -> None:
    grammar = GRAMMARS[codec]
    data = grammar.serialize()
    for again in (deserialize_grammar(data), grammar_of_codec(codec, data)):
        assert type(again) is type(grammar)
        assert again.serialize() == data
        assert again.header == grammar.header


@pytest.mark.parametrize("codec", GRAMMARS)
def test_without_a_grammar_every_file_of_the_codec_is_meant(codec: str) -> None:
    grammar = grammar_of_codec(codec, None)
    assert type(grammar) is type(GRAMMARS[codec])
    assert grammar.header == b""


def test_a_grammar_of_another_codec_is_refused() -> None:
    with pytest.raises(UsageError, match="is not one of H"):
        grammar_of_codec("avc", GRAMMARS["jpeg"].serialize())
    with pytest.raises(UsageError, match="not one of JPEG files"):
        grammar_of_codec("jpeg", GRAMMARS["avc"].serialize())
    with pytest.raises(UsageError, match="codec 'hevc' is not one of jpeg, avc"):
        grammar_of_codec("hevc", None)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a serialized grammar"),
        (b"[]", "not a serialized grammar"),
        (b"{}", "not a serialized grammar: 'codec'"),
        (b"[" * 100_000, "not a serialized grammar"),
        (json.dumps({"codec": "hevc"}).encode(), "codec is 'hevc', must be one of jpeg, h264"),
        (json.dumps({"codec": ["h264"]}).encode(), "must be one of jpeg, h264"),
        (json.dumps({"codec": "h264", "frames": "x"}).encode(), "not a serialized grammar"),
    ],
)
def test_other_data_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        deserialize_grammar(data)
