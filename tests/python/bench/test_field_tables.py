import random

import pytest

from pycodec_lm._core import JpegWriter
from pycodec_lm.bench.field_tables import (
    AC,
    DC,
    random_huffman_table,
    random_quantization_table,
    useless_huffman_table,
)
from pycodec_lm.grammar import JpegGrammar
from pycodec_lm.jpeg_tables import standard_huffman_tables


@pytest.mark.parametrize("table_class", [DC, AC])
@pytest.mark.parametrize("seed", range(50))
def test_random_codes_leave_the_code_of_all_ones_free(table_class: int, seed: int) -> None:
    table = random_huffman_table(random.Random(seed), table_class)
    assert sum(table.bits) == len(table.values) <= 256
    # C.2, counted in codes of 16 bits: 2^16 - 1 at most.
    assert sum(n << (15 - i) for i, n in enumerate(table.bits)) < 1 << 16


@pytest.mark.parametrize("seed", range(20))
def test_random_tables_code_a_block_and_useless_ones_do_not(seed: int) -> None:
    rng = random.Random(seed)
    standard = standard_huffman_tables()
    for name, table_class in (("dc", DC), ("ac", AC)):
        for make, is_usable in ((random_huffman_table, True), (useless_huffman_table, False)):
            table = make(rng, table_class)
            tables = {**standard, (name, 0): (table.bits, table.values)}
            if is_usable:
                JpegWriter(JpegGrammar(huffman_tables=tables))
            else:
                with pytest.raises(ValueError, match="no block can be coded"):
                    JpegGrammar(huffman_tables=tables)


def test_quantization_tables_have_no_zero() -> None:
    rng = random.Random(0)
    for n_bits in (8, 16):
        tables = [random_quantization_table(rng, (1 << n_bits) - 1) for _ in range(100)]
        assert {len(table) for table in tables} == {64}
        values = {value for table in tables for value in table}
        assert (min(values), max(values)) == (1, (1 << n_bits) - 1)
