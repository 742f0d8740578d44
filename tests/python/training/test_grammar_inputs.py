"""What the grammar gives to training: annotations, legal tokens, forced tokens."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pycodec_lm as pcl
from pycodec_lm.codecs.jpeg import JpegSettings
from pycodec_lm.data.dataset import Samples, grammar_annotator
from pycodec_lm.data.huffman import design_tables
from pycodec_lm.data.prepare import Picture, count_symbols, prepare_images
from pycodec_lm.data.shards import ShardWriter, TokenDataset
from pycodec_lm.errors import UsageError
from pycodec_lm.grammar import JpegGrammar
from pycodec_lm.models.config import ANNOTATION_SIZES
from pycodec_lm.tokenizer import ByteTokenizer
from pycodec_lm.training.evaluate import LegalTokens
from pycodec_lm.training.feed import Feed

SETTINGS = JpegSettings(width=32, height=32, quality=25, subsampling="4:2:0", restart_interval=0)


def draw(number: int) -> Image.Image:
    """A smooth gradient with a rectangle in it."""
    random = np.random.default_rng(number)
    ramp = np.linspace(0, 1, 32)
    tilt = np.add.outer(ramp * random.random(), ramp * random.random())
    pixels = 255 * np.multiply.outer(tilt / 2, random.random(3))
    top, left = random.integers(0, 20, 2)
    pixels[top : top + 9, left : left + 12] = 255 * random.random(3)
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture(scope="module", params=["standard", "aligned", "bpe"])
def dataset(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> TokenDataset:
    images = [draw(number) for number in range(24)]
    tables = tokenizer = None
    if request.param == "aligned":
        tables = design_tables("aligned", count_symbols(images, SETTINGS))
    if request.param == "bpe":
        tokenizer = ByteTokenizer([(b"\xff", b"\xd9"), (b"\x00", b"\x00"), (b"\xa2", b"\x8a")])
    folder = tmp_path_factory.mktemp("data") / request.param
    pictures = (
        Picture(image, {}, "val" if number >= 20 else "train")
        for number, image in enumerate(images)
    )
    prepare_images(pictures, folder, settings=SETTINGS, huffman_tables=tables, tokenizer=tokenizer)
    return TokenDataset(folder)


def start_matcher(dataset: TokenDataset) -> pcl.GrammarMatcher:
    assert dataset.meta.grammar_bytes is not None
    grammar = JpegGrammar.deserialize(dataset.meta.grammar_bytes)
    matcher = pcl.GrammarMatcher(pcl.compile_grammar(grammar, dataset.tokenizer().info()))
    assert matcher.accept_bytes(dataset.meta.header)
    return matcher


def all_val(dataset: TokenDataset) -> Samples:
    annotate = grammar_annotator(dataset.meta, dataset.tokenizer())
    return Samples(dataset.val, None, dataset.meta, annotate)


def test_sizes_are_those_of_the_engine() -> None:
    assert tuple(pcl._core.ANNOTATION_SIZES) == ANNOTATION_SIZES


def test_training_sees_what_the_matcher_sees(dataset: TokenDataset) -> None:
    samples = all_val(dataset)
    assert samples.annotations is not None
    for row in range(len(samples)):
        matcher = start_matcher(dataset)
        for place in range(samples.starts[row], samples.starts[row + 1]):
            fed = samples.annotations[place].tolist()
            assert fed == matcher.annotation().tolist()
            assert matcher.accept_token(int(samples.labels[place]))
        assert matcher.is_terminated()


def test_no_input_up_to_t_changes_with_the_bytes_after_t(
    dataset: TokenDataset, tmp_path: Path
) -> None:
    ids = dataset.val.tokens(0)
    vocab = dataset.tokenizer().encoded_vocab
    assert dataset.meta.grammar_bytes is not None
    cursor = pcl.JpegCursor(JpegGrammar.deserialize(dataset.meta.grammar_bytes))
    assert cursor.push(dataset.meta.header).ok
    tokenizer_json = dataset.tokenizer().to_json() if dataset.tokenizer().merges else None
    with ShardWriter(tmp_path / "variants", dataset.meta, tokenizer_json) as writer:
        writer.add(ids)
        for t, token in enumerate(ids.tolist()):
            # The shortest valid ending after t tokens, instead of the picture's own.
            writer.add([*ids[:t].tolist(), *cursor.complete()])
            assert cursor.push(vocab[token]).ok
    variants = TokenDataset(tmp_path / "variants")
    annotate = grammar_annotator(variants.meta, variants.tokenizer())
    samples = Samples(variants.train, None, variants.meta, annotate)
    n_different = 0
    for t in range(len(ids)):
        batch = samples.batch(np.array([0, t + 1]))
        assert batch.annotations_BTF is not None
        for inputs in (batch.tokens_BT, batch.annotations_BTF):
            assert torch.equal(inputs[0, : t + 1], inputs[1, : t + 1])
        n_different += not torch.equal(batch.annotations_BTF[0], batch.annotations_BTF[1])
    assert n_different > len(ids) // 2


def test_labels_are_legal_and_forced_ones_alone(dataset: TokenDataset) -> None:
    samples = all_val(dataset)
    legal = LegalTokens.of(samples, dataset.meta, dataset.tokenizer())
    labels = samples.labels.numpy()
    words = legal.bitmask_PW[np.arange(len(labels)), labels // 32]
    assert ((words >> (labels % 32)) & 1 == 1).all()
    n_legal = np.bitwise_count(legal.bitmask_PW.view(np.uint32)).sum(axis=1)
    assert legal.forced_P[n_legal == 1].all()
    if not dataset.tokenizer().merges:
        assert (n_legal[legal.forced_P] == 1).all()
    # <eos> follows the end of the picture, which leaves nothing else.
    ends = samples.starts[1:] - 1
    assert (labels[ends] == dataset.meta.eos_id).all()
    assert legal.forced_P[ends].all()
    assert 0.5 < (~legal.forced_P).mean() < 1.0


def test_a_sample_outside_its_grammar_is_named(dataset: TokenDataset, tmp_path: Path) -> None:
    tokenizer_json = dataset.tokenizer().to_json() if dataset.tokenizer().merges else None
    with ShardWriter(tmp_path / "broken", dataset.meta, tokenizer_json) as writer:
        writer.add([255, 216], split="val")
        writer.add([255, 216])
    broken = TokenDataset(tmp_path / "broken")
    samples = Samples(broken.val, None, broken.meta, None)
    with pytest.raises(UsageError, match="breaks the dataset's grammar at token"):
        LegalTokens.of(samples, broken.meta, broken.tokenizer())


def test_the_floor_lies_below_the_files_and_the_mask_lowers_it(dataset: TokenDataset) -> None:
    in_memory, on_disk = (
        Feed(
            dataset,
            codec_inputs=None,
            device=torch.device("cpu"),
            max_val_samples=4,
            memory_mb=memory_mb,
        )
        for memory_mb in (64, 0)
    )
    assert in_memory.codec_inputs
    floor = in_memory.floor(seed=0)
    assert floor == on_disk.floor(seed=0)
    assert floor is not None
    assert floor.table is not None
    assert floor.table.renormalised < floor.table.raw <= floor.table.all_bits
    assert floor.table.all_bits < floor.body_bits < floor.file_bits
    body = sum(len(dataset.tokenizer().decode(dataset.val.tokens(i).tolist())) for i in range(4))
    assert floor.body_bits == pytest.approx(8 * body / 4)
