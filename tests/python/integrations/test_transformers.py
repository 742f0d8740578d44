"""`model.generate` of Hugging Face Transformers under the mask: an untrained model, valid files."""

from typing import Any

import pytest
import torch

import pycodec_lm as pcl
from pycodec_lm import _core
from pycodec_lm.grammar import JpegGrammar
from pycodec_lm.tokenizer import ByteTokenizer

transformers = pytest.importorskip("transformers", reason="needs the extra [hf]")

from pycodec_lm.integrations.transformers import CodecLogitsProcessor  # noqa: E402

# What Transformers says of itself is not ours to answer for.
pytestmark = pytest.mark.filterwarnings("ignore:::transformers", "ignore:::huggingface_hub")

GRAMMAR = JpegGrammar.jpeg_lm(width=16, height=16)
TOKENIZER = ByteTokenizer([(b"\xff", b"\xd9"), (b"\xff", b"\x00"), (b"\x28", b"\xa2")])
WAYS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sampling": {"do_sample": True, "top_k": 0, "temperature": 1.3},
    "beams": {"num_beams": 3},
    "all beams": {"num_beams": 3, "num_return_sequences": 3, "length_penalty": -1.0},
    "sampled beams": {"num_beams": 3, "do_sample": True, "top_k": 0},
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        # More ids than tokens, as padded embedding matrices have.
        vocab_size=TOKENIZER.vocab_size + 29,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        pad_token_id=TOKENIZER.pad_id,
        bos_token_id=TOKENIZER.bos_id,
        eos_token_id=TOKENIZER.eos_id,
    )
    return transformers.LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def compiled() -> _core.CompiledGrammar:
    return _core.compile_grammar(GRAMMAR, TOKENIZER.info())


def generate(model: Any, ids: torch.Tensor, processor: Any, **way: Any) -> list[list[int]]:
    torch.manual_seed(1)
    output = model.generate(
        ids,
        attention_mask=(ids != TOKENIZER.pad_id).long(),
        logits_processor=[processor],
        max_new_tokens=80,
        **way,
    )
    return output.tolist()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_header_written", [True, False])
def test_every_row_is_a_valid_file(
    model: Any, compiled: _core.CompiledGrammar, way: str, is_header_written: bool
) -> None:
    start = b"" if is_header_written else GRAMMAR.header
    budget = 80 if is_header_written else 30
    processor = CodecLogitsProcessor(compiled, max_tokens=budget, start=start)
    ids = torch.full((4, 1), TOKENIZER.bos_id)
    rows = generate(model, ids, processor, **WAYS[way])
    assert len(rows) == 4 * WAYS[way].get("num_return_sequences", 1)
    for row in rows:
        assert TOKENIZER.eos_id in row[: 1 + budget]
        file = GRAMMAR.to_file(start + TOKENIZER.decode(row))
        assert pcl.check(file).valid, pcl.check(file).message


def test_rows_differ_and_end_at_their_own_time(model: Any, compiled: _core.CompiledGrammar) -> None:
    processor = CodecLogitsProcessor(compiled, start=GRAMMAR.header, max_tokens=80)
    ids = torch.full((4, 1), TOKENIZER.bos_id)
    rows = generate(model, ids, processor, do_sample=True, top_k=0)
    ends = [row.index(TOKENIZER.eos_id) for row in rows]
    assert len(set(ends)) > 1
    for row, end in zip(rows, ends, strict=True):
        assert set(row[end + 1 :]) <= {TOKENIZER.pad_id}


@pytest.mark.parametrize("way", ["sampling", "beams"])
def test_prompts_go_on_whatever_their_length(
    model: Any, compiled: _core.CompiledGrammar, way: str
) -> None:
    """Prompts of several lengths, padded on the left; one processor for several calls."""
    processor = CodecLogitsProcessor(compiled, max_tokens=80)
    ending = _core.GrammarMatcher(compiled, prompt=GRAMMAR.header).complete()
    stream = GRAMMAR.header + ending
    for lengths in ([2, 30, len(GRAMMAR.header), len(stream) - 3], [5, 9, 1, 20]):
        prompts = [[TOKENIZER.bos_id, *stream[:length]] for length in lengths]
        width = max(map(len, prompts))
        ids = torch.tensor([[TOKENIZER.pad_id] * (width - len(p)) + p for p in prompts])
        for row, length in zip(generate(model, ids, processor, **WAYS[way]), lengths, strict=True):
            data = TOKENIZER.decode(row)
            assert data.startswith(stream[:length])
            assert pcl.check(GRAMMAR.to_file(data)).valid


def test_beams_follow_their_parents(compiled: _core.CompiledGrammar) -> None:
    """Rows change places between calls: each mask is that of the row's own text."""
    processor = CodecLogitsProcessor(compiled, start=GRAMMAR.header)
    scores = torch.zeros(2, TOKENIZER.vocab_size)
    bos = TOKENIZER.bos_id
    processor(torch.tensor([[bos], [bos]]), scores)
    processor(torch.tensor([[bos, 0x28], [bos, 0xA5]]), scores)
    # Both beams now come from the second row, and then trade places.
    texts = [[0xA5, 0x12], [0xA5, 0x9B]]
    processor(torch.tensor([[bos, *text] for text in texts]), scores)
    texts = [[*texts[1], 0x31], [*texts[0], 0x77]]
    masked = processor(torch.tensor([[bos, *text] for text in texts]), scores)
    for row, text in enumerate(texts):
        matcher = _core.GrammarMatcher(compiled, prompt=GRAMMAR.header)
        assert all(matcher.accept_token(token) for token in text)
        bitmask = _core.allocate_token_bitmask(1, TOKENIZER.vocab_size)
        matcher.fill_next_token_bitmask(bitmask)
        expected = torch.zeros(1, TOKENIZER.vocab_size)
        pcl.apply_token_bitmask_inplace(expected, bitmask)
        assert torch.equal(masked[row], expected[0])
    assert scores.eq(0).all()
