"""Walks without a model and without decoders; tests/decoders has real ones read the files."""

import random
from collections import Counter

import pytest

import pycodec_lm as pcl
from pycodec_lm._core import JpegCursor, check_jpeg, compile_grammar
from pycodec_lm.bench.coverage import SCOPE, Coverage, error_codes
from pycodec_lm.bench.field_walk import write_random_file
from pycodec_lm.bench.mask_walk import CHOOSERS, MaskWalk, least_tokens
from pycodec_lm.bench.structure import SOS, read_structure
from pycodec_lm.bench.vocabularies import byte_vocabulary, pair_vocabulary, shuffled
from pycodec_lm.bench.walks import KINDS, PROCESSES, plan_walks, run_walk
from pycodec_lm.grammar import JpegGrammar

SCAN_KINDS = ("DC first", "DC refinement", "AC first", "AC refinement")


@pytest.mark.parametrize("seed", range(12))
def test_a_legal_value_for_every_field_makes_a_valid_file(seed: int) -> None:
    written = write_random_file(seed)
    assert pcl.check(written.data).valid
    # The planes were worked out beside the writer, by A.2 and F.2.2.1.
    read = pcl.read_coefficients(written.data)
    assert [plane.shape for plane in read] == [plane.shape for plane in written.planes]
    assert all((a == b).all() for a, b in zip(read, written.planes, strict=True))
    assert write_random_file(seed).data == written.data


@pytest.mark.parametrize("portable", [True, False])
def test_progressive_files_have_the_coefficients_that_their_scans_say(portable: bool) -> None:
    kinds = Counter()
    precisions = set()
    for seed in range(30):
        written = write_random_file(seed, portable=portable, process="progressive")
        status, end, _ = check_jpeg(written.data)
        assert (status.message, end) == ("valid", len(written.data))
        assert check_jpeg(written.data, by_push=True)[0]
        # The planes were worked out beside the writer, by G.1.2.
        read = pcl.read_coefficients(written.data)
        assert [plane.shape for plane in read] == [plane.shape for plane in written.planes]
        assert all((a == b).all() for a, b in zip(read, written.planes, strict=True))
        structure = read_structure(written.data)
        kinds.update(scan.kind for scan in structure.scans)
        precisions.add(structure.precision)
    assert min(kinds[kind] for kind in SCAN_KINDS) > 20
    assert precisions == ({8} if portable else {8, 12})


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("process", ["baseline", "extended"])
def test_sequential_files_of_several_scans(process: str, seed: int) -> None:
    written = write_random_file(seed, process=process, several_scans=True)
    structure = read_structure(written.data)
    assert structure.sof == {"baseline": 0xC0, "extended": 0xC1}[process]
    assert len(structure.scans) > 1
    assert pcl.check(written.data).valid
    read = pcl.read_coefficients(written.data)
    assert all((a == b).all() for a, b in zip(read, written.planes, strict=True))


@pytest.mark.parametrize("process", [None, "progressive"])
def test_every_wrong_byte_is_refused_with_a_code_of_the_scope(process: str | None) -> None:
    coverage = Coverage()
    for seed in range(100, 112):
        data = write_random_file(seed, process=process).data
        structure = read_structure(data)
        coverage.add(data, structure, error_codes(data, structure, random.Random(seed)))
    assert coverage.n_walks == 12
    assert coverage.unexpected() == []
    # A dozen files do not reach all, but most.
    prefix = "progressive: " if process else ""
    assert len(coverage.walks[prefix + "error code"]) > 30
    missing = {group for group, _, _ in coverage.rare(1)}
    assert missing.isdisjoint({prefix + "components", prefix + "quantization slot"})


GRAMMARS = {
    "any": JpegGrammar(),
    "progressive": JpegGrammar(process="progressive"),
    "small progressive": JpegGrammar(
        process="progressive", width=20, height=30, subsampling="4:2:0", quality=60
    ),
    "like progressive": JpegGrammar.like(write_random_file(22, process="progressive").data),
    "narrow": JpegGrammar(width=24, height=9, subsampling="4:2:0", quality=60),
    "jpeg_lm": JpegGrammar.jpeg_lm(48, 32),
    "like": JpegGrammar.like(write_random_file(3).data),
}


@pytest.mark.parametrize("chooser", CHOOSERS)
@pytest.mark.parametrize("name", GRAMMARS)
@pytest.mark.parametrize("times", [1, 2])
def test_walks_end_within_the_budget_in_a_valid_file(name: str, chooser: str, times: int) -> None:
    grammar = GRAMMARS[name]
    info = byte_vocabulary()
    if chooser == "highest":
        info = shuffled(info, seed=times)
    compiled = compile_grammar(grammar, info)
    budget = times * least_tokens(compiled)
    result = MaskWalk(compiled, budget, chooser, seed=times).run()
    assert result.n_tokens <= budget
    verdict = pcl.check(grammar.to_file(result.stream))
    assert verdict.valid, verdict.message


def test_walks_with_longer_tokens_end_within_the_budget() -> None:
    grammar = JpegGrammar.jpeg_lm(40, 24, restart_interval=2)
    samples = [write_random_file(seed).data for seed in (3, 4)]
    compiled = compile_grammar(grammar, pair_vocabulary(samples, 200))
    least = least_tokens(compiled)
    for seed in range(3):
        result = MaskWalk(compiled, 3 * least, "token", seed).run()
        assert result.n_tokens <= 3 * least
        assert pcl.check(grammar.to_file(result.stream)).valid


def test_walks_without_a_budget_end_in_a_valid_file() -> None:
    grammar = JpegGrammar.jpeg_lm(33, 17)
    compiled = compile_grammar(grammar, byte_vocabulary())
    result = MaskWalk(compiled, None, "outcome", seed=1).run()
    assert result.budget is None
    assert pcl.check(grammar.to_file(result.stream)).valid


def test_a_plan_has_all_kinds_grammars_budgets_and_vocabularies() -> None:
    cases = plan_walks(200)
    assert len({case.seed for case in cases}) == 200
    assert {case.kind for case in cases} == {*KINDS}
    masks = [case for case in cases if case.kind != "field"]
    combinations = {(c.process, c.kind, c.grammar, c.budget) for c in masks}
    assert len(combinations) == 2 * 3 * 3 * 3
    assert {c.vocabulary for c in masks} == {"bytes", "pieces"}
    assert plan_walks(200) == cases


@pytest.mark.parametrize("process", PROCESSES)
def test_a_plan_of_one_process(process: str) -> None:
    cases = plan_walks(60, process=process)
    assert {case.process for case in cases} == {process}
    file = run_walk(cases[0]).file
    structure = read_structure(file)
    assert structure.is_progressive == (process == "progressive")
    assert len(structure.scans) > 1 or process != "multi-scan"
    coverage = Coverage(process)
    coverage.add(file, structure)
    assert coverage.unexpected() == []
    assert {*coverage.scope} >= {group for group, n in coverage.walks.items() if n}


def test_the_same_case_gives_the_same_file() -> None:
    case = next(c for c in plan_walks(30) if c.kind == "token" and c.grammar == "jpeg_lm")
    assert run_walk(case).file == run_walk(case).file


def test_scope_names_each_value_once() -> None:
    assert all(len(values) == len({*values}) for values in SCOPE.values())


@pytest.mark.parametrize("portable", [True, False])
def test_portable_progressive_scans_name_table_0_where_they_use_none(portable: bool) -> None:
    n_other = 0
    for seed in range(12):
        data = write_random_file(seed, portable=portable, process="progressive").data
        for scan in read_structure(data).scans:
            unused = [*scan.ac_slots] if scan.ss == 0 else [*scan.dc_slots]
            unused += [*scan.dc_slots] if scan.kind == "DC refinement" else []
            n_other += any(unused)
    assert (n_other == 0) == portable
    # The Taj of a first DC scan.
    data = write_random_file(13, process="progressive").data
    at = next(s.offset for s in read_structure(data).segments if s.marker == SOS) + 6
    cursor = JpegCursor(JpegGrammar(portable=portable, process="progressive"))
    assert cursor.push(data[:at])
    status = cursor.push(bytes((data[at] | 3,)))
    assert status.code == ("not_in_grammar" if portable else "ok")
