"""Designs of Huffman tables: legal, complete, and as short as their rules allow."""

import heapq
import io
import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from pycodec_lm import read_coefficients, symbol_counts
from pycodec_lm.codecs.jpeg import JpegSettings, encode, scan_start
from pycodec_lm.data.huffman import (
    DESIGNS,
    aligned_tables,
    amplitude_bits,
    design_tables,
    legal_symbols,
    mean_element_bits,
    one_byte_share,
    optimal_tables,
)
from pycodec_lm.errors import UsageError
from pycodec_lm.grammar import recode_jpeg

KEYS = [("dc", 0), ("dc", 1), ("ac", 0), ("ac", 1)]


def code_lengths(table):
    bits, values = table
    lengths = [length for length, n in enumerate(bits, start=1) for _ in range(n)]
    return dict(zip(values, lengths, strict=True))


def some_counts(seed, zero_share=0.3, decay=1.0):
    """Counts that fall with amplitude and run, as those of pictures do."""
    rng = random.Random(seed)
    counts = np.zeros((2, 4, 256), dtype=np.int64)
    for tc, table_class in enumerate(("dc", "ac")):
        for slot in (0, 1):
            for symbol in legal_symbols(table_class):
                if rng.random() >= zero_share:
                    fall = 2.0 ** -(decay * ((symbol & 15) + (symbol >> 4) / 2))
                    counts[tc, slot, symbol] = int(1e6 * rng.random() * fall)
    return counts


def drawing(seed, width=48, height=40):
    rng = random.Random(seed)
    image = Image.new("RGB", (width, height), (250, 245, 230))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = rng.randrange(width), rng.randrange(height)
        colour = tuple(rng.randrange(256) for _ in range(3))
        draw.ellipse((x, y, x + rng.randrange(4, 30), y + rng.randrange(4, 30)), fill=colour)
    return image


SETTINGS = JpegSettings(48, 40, quality=25, restart_interval=0)
DRAWINGS = [encode(drawing(seed), SETTINGS) for seed in range(40)]
DRAWING_COUNTS = sum(symbol_counts(data) for data in DRAWINGS)


def assert_legal(table, table_class):
    bits, values = table
    assert len(bits) == 16
    assert sum(bits) == len(values) == len(set(values))
    # C.2: the codes of each length follow on from the shorter ones, and none is all ones.
    next_code = 0
    for length, n in enumerate(bits, start=1):
        next_code = 2 * next_code + n
        assert next_code < 1 << length
    assert set(values) == set(legal_symbols(table_class))


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize(
    "counts",
    [
        np.zeros((2, 4, 256), dtype=np.int64),
        np.ones((2, 4, 256), dtype=np.int64),
        np.full((2, 4, 256), 1 << 40),
        some_counts(1),
        some_counts(2, decay=0.1),
        some_counts(3, decay=4.0),
        DRAWING_COUNTS,
    ],
    ids=["none", "equal", "huge", "some", "flat", "steep", "drawings"],
)
def test_tables_are_legal_and_code_every_legal_symbol(design, counts):
    tables = design_tables(design, counts)
    assert sorted(tables) == sorted(KEYS)
    for (table_class, _), table in tables.items():
        assert_legal(table, table_class)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 1 << 45), min_size=12, max_size=12))
def test_any_counts_give_legal_dc_tables(dc_counts):
    counts = np.zeros((2, 4, 256), dtype=np.int64)
    counts[0, 0, :12] = dc_counts
    for design in ("optimal", "aligned"):
        assert_legal(design_tables(design, counts, slots=(0,))["dc", 0], "dc")


def test_slots_are_those_asked_for():
    assert sorted(design_tables("standard", slots=(0,))) == [("ac", 0), ("dc", 0)]
    assert sorted(design_tables("aligned", some_counts(1), slots=(1,))) == [("ac", 1), ("dc", 1)]


def test_misuse_is_named():
    with pytest.raises(UsageError, match="'fancy' is not one of standard, optimal, aligned"):
        design_tables("fancy")
    with pytest.raises(UsageError, match="needs symbol counts"):
        design_tables("aligned")
    with pytest.raises(UsageError, match=r"must be \(2, 4, 256\)"):
        optimal_tables(np.zeros((2, 256), dtype=np.int64))
    with pytest.raises(UsageError, match=">= 0"):
        optimal_tables(np.full((2, 4, 256), -1))


def huffman_lengths(weights):
    """Lengths of a Huffman code without a limit, by Huffman's own procedure."""
    lengths = [0] * len(weights)
    heap = [(weight, i, [i]) for i, weight in enumerate(weights)]
    heapq.heapify(heap)
    for unique in itertools.count(len(weights)):
        if len(heap) == 1:
            return lengths
        a, b = heapq.heappop(heap), heapq.heappop(heap)
        for i in a[2] + b[2]:
            lengths[i] += 1
        heapq.heappush(heap, (a[0] + b[0], unique, a[2] + b[2]))
    raise AssertionError


def annex_k2_lengths(weights):
    """Figures K.1 to K.4: Huffman's code, then Adjust_BITS down to 16; one code is reserved."""
    bits = [0] * 65
    for length in huffman_lengths([*weights, 0]):
        bits[length] += 1
    i = 64
    while i > 16:
        if bits[i] == 0:
            i -= 1
            continue
        j = i - 2
        while bits[j] == 0:
            j -= 1
        bits[i] -= 2
        bits[i - 1] += 1
        bits[j + 1] += 2
        bits[j] -= 1
    while bits[i] == 0:
        i -= 1
    bits[i] -= 1
    lengths = [length for length, n in enumerate(bits) for _ in range(n)]
    order = sorted(range(len(weights)), key=lambda k: -weights[k])
    return dict(zip(order, lengths, strict=True))


def total_bits(lengths, weights):
    return sum(lengths[i] * weight for i, weight in enumerate(weights))


def test_optimal_is_huffmans_code_where_no_limit_binds():
    counts = np.zeros((2, 4, 256), dtype=np.int64)
    weights = [900, 700, 650, 400, 390, 200, 180, 90, 80, 70, 20, 10]
    counts[0, 0, :12] = weights
    lengths = code_lengths(optimal_tables(counts, slots=(0,))["dc", 0])
    # The reserved code is one more symbol of no weight.
    assert total_bits(lengths, weights) == total_bits(huffman_lengths([*weights, 0]), weights)


@pytest.mark.parametrize("seed", range(5))
def test_optimal_is_never_longer_than_annex_k2(seed):
    counts = some_counts(seed, zero_share=0, decay=1.3)
    symbols = legal_symbols("ac")
    # As the design weighs them: what was never seen counts a little.
    weights = [int(counts[1, 0, symbol]) * 1024 + 1 for symbol in symbols]
    table = code_lengths(optimal_tables(counts)["ac", 0])
    ours = {i: table[symbol] for i, symbol in enumerate(symbols)}
    assert max(ours.values()) == 16
    assert total_bits(ours, weights) <= total_bits(annex_k2_lengths(weights), weights)


def test_optimal_scans_are_shorter_than_standard_ones():
    standard = mean_element_bits(design_tables("standard"), DRAWING_COUNTS)
    optimal = mean_element_bits(design_tables("optimal", DRAWING_COUNTS), DRAWING_COUNTS)
    assert optimal < standard


@pytest.mark.parametrize("counts", [some_counts(1), some_counts(2, decay=0.1), DRAWING_COUNTS])
def test_aligned_elements_fill_whole_bytes(counts):
    for table in aligned_tables(counts).values():
        for symbol, length in code_lengths(table).items():
            assert (length + amplitude_bits(symbol)) % 8 == 0
            assert length + amplitude_bits(symbol) <= 24


@pytest.mark.parametrize("seed", range(6))
def test_aligned_dc_table_is_the_best_of_all(seed):
    counts = some_counts(seed, zero_share=0.2, decay=0.3)
    table = code_lengths(aligned_tables(counts)["dc", 0])
    choices = [[8 * n - size for n in (1, 2, 3) if 1 <= 8 * n - size <= 16] for size in range(12)]
    weights = counts[0, 0, :12]
    best = min(
        sum(int(weights[size]) * (length + size) for size, length in enumerate(lengths))
        for lengths in itertools.product(*choices)
        if sum(1 << (16 - length) for length in lengths) < 1 << 16
    )
    assert sum(int(weights[size]) * (table[size] + size) for size in range(12)) == best


def test_aligned_gives_nearly_every_element_one_byte():
    tables = aligned_tables(DRAWING_COUNTS)
    assert one_byte_share(tables, DRAWING_COUNTS) > 0.99
    unseen = sum(symbol_counts(encode(drawing(seed), SETTINGS)) for seed in range(100, 140))
    assert one_byte_share(tables, unseen) > 0.985


def test_shares_and_means_of_no_symbols():
    empty = np.zeros((2, 4, 256), dtype=np.int64)
    assert one_byte_share(design_tables("standard"), empty) == 0
    assert mean_element_bits(design_tables("standard"), empty) == 0


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("restart_interval", [0, 1, 3])
def test_recoding_keeps_coefficients_and_pixels(design, subsampling, restart_interval):
    form = JpegSettings(48, 40, 40, subsampling, restart_interval)
    tables = design_tables(design, DRAWING_COUNTS)
    for seed in range(3):
        before = encode(drawing(seed), form)
        after = recode_jpeg(before, tables)
        same = after[scan_start(after) :] == before[scan_start(before) :]
        assert same == (design == "standard")
        for ours, theirs in zip(read_coefficients(after), read_coefficients(before), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        # An independent reader of both files.
        pixels = [np.asarray(Image.open(io.BytesIO(data))) for data in (before, after)]
        np.testing.assert_array_equal(*pixels)
        # And back again, by the standard's tables.
        back = recode_jpeg(after, design_tables("standard"))
        assert back[scan_start(back) :] == before[scan_start(before) :]


def test_aligned_scans_have_the_bytes_that_their_elements_fill():
    tables = aligned_tables(DRAWING_COUNTS)
    for data in DRAWINGS[:10]:
        after = recode_jpeg(data, tables)
        scan = after[scan_start(after) : -2]
        counts = symbol_counts(after)
        np.testing.assert_array_equal(counts, symbol_counts(data))
        n_bits = mean_element_bits(tables, counts) * counts.sum()
        assert len(scan) - scan.count(b"\xff\x00") == pytest.approx(n_bits / 8)
