"""The field-uniform walk of H.264 and its writer, without decoders."""

from collections import Counter

import pytest

from pycodec_lm import _core
from pycodec_lm.avc_grammar import AvcGrammar
from pycodec_lm.bench.avc_field_coverage import AVC_ERROR_CODES, AVC_SCOPE, AvcCoverage
from pycodec_lm.bench.avc_field_walk import write_random_stream
from pycodec_lm.bench.avc_field_walks import plan_avc_field_walks, run_avc_field_walk
from pycodec_lm.bench.avc_motion import inter_kinds
from pycodec_lm.bench.avc_tables import COEFF_TOKENS, code_rows


def test_walks_keep_their_promises() -> None:
    coverage = AvcCoverage()
    for case in plan_avc_field_walks(12, seed=500):
        stream, codes = run_avc_field_walk(case)
        coverage.add(stream, codes)
        assert codes <= {*AVC_ERROR_CODES}
    assert coverage.n_walks == 12
    assert coverage.n_reached("element") > 100


def test_a_seed_gives_the_same_stream() -> None:
    assert write_random_stream(3).data == write_random_stream(3).data
    assert write_random_stream(3).data != write_random_stream(4).data


def test_the_writer_refuses_what_is_not_legal_and_stays_where_it_is() -> None:
    writer = _core.AvcWriter(AvcGrammar())
    assert writer.is_between_units() and not writer.is_complete()
    assert writer.write(0).code == "start_code_expected"
    assert not writer.write_start_code(1)
    assert writer.write_start_code(3)
    before = writer.describe()
    assert writer.field() == ("forbidden_zero_bit", "u(n)", 0)
    assert writer.write(1).code == "forbidden_zero_bit"
    assert writer.describe() == before and not writer.may_end_unit()
    assert writer.write(0) and writer.write(1)
    assert writer.lowest_legal(0, 31) == writer.highest_legal(0, 31) == 7
    assert not writer.any_legal(8, 31)
    with pytest.raises(RuntimeError, match="no NAL unit may end"):
        writer.end_unit()


def test_tables_have_the_rows_of_the_standard() -> None:
    assert len(COEFF_TOKENS) == 62 and COEFF_TOKENS[-1] == (3, 16)
    assert Counter(table for table, _ in code_rows()["coeff_token"])[4] == 14
    assert set(AVC_SCOPE) >= {"coeff_token rows", "motion", "error code"}


def test_motion_is_that_of_the_macroblocks() -> None:
    stream = write_random_stream(11)
    rows = _core.read_motion(stream.data)
    assert rows.shape[1] == 86 and inter_kinds(stream.data).total() >= len(rows) > 0
    assert int(rows[:, 0].max()) < stream.n_pictures
