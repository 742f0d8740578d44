"""`bench attention` and so on: wrong results stop it, and its report has what it measured."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pycodec_lm.bench import op_cases
from pycodec_lm.bench.op_figures import card_name, op_report
from pycodec_lm.bench.op_peers import PACKAGES, peer_note
from pycodec_lm.bench.op_speed import OURS, OpCase, Rates, assert_near, measure_case
from pycodec_lm.cli.main import main
from pycodec_lm.errors import CodecLMError

RATES = Rates(1e3, 1e6, "8 x 8 float32", 1.0)


def case(ours: float, other: float, flops: int = 0) -> OpCase:
    def check(found: float, arguments: float) -> float:
        if found != arguments:
            raise CodecLMError("it is another number")
        return 0.25

    run = {OURS: lambda x: x + ours, "other": lambda x: x + other}
    return OpCase("add", [1.0, 2.0], run, check, 8, flops)


def test_right_results_are_timed() -> None:
    result = measure_case(case(0, 0), 5, RATES)
    assert {name: spread.n for name, spread in result.times.items()} == {OURS: 5, "other": 5}
    assert set(result.ratios) == {"other"}
    assert result.wrong == {}
    assert result.errors == {OURS: 0.25, "other": 0.25}


def test_shares_are_those_of_the_measured_rates() -> None:
    result = measure_case(case(0, 0, flops=3_000_000), 5, RATES)
    for name, spread in result.times.items():
        assert result.copy_shares[name] == pytest.approx(8 / 1e3 / spread.median)
        assert result.matrix_shares[name] == pytest.approx(3.0 / spread.median)
    table = op_report("Title", "command", [result], RATES).to_markdown()
    assert f"{100 * result.matrix_shares[OURS]:.1f} %" in table
    assert f"{result.fastest} |" in table.partition("## Fastest")[2]
    assert "8 x 8 float32" in table


def test_report_names_peers_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(package in peer_note() for package in PACKAGES.values())
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert peer_note() == f"peers beside torch: none; not installed: {', '.join(PACKAGES.values())}"


def test_a_wrong_peer_is_named_and_not_timed() -> None:
    result = measure_case(case(0, 1), 5, RATES)
    assert set(result.times) == {OURS}
    assert result.wrong == {"other": "it is another number"}


def test_a_peer_that_does_not_run_is_named() -> None:
    def fail(_: float) -> float:
        raise RuntimeError("No available kernel.\nAborting.")

    broken = case(0, 0)
    broken = OpCase("add", [1.0], {**broken.run, "other": fail}, broken.check, 8)
    result = measure_case(broken, 2, RATES)
    assert result.wrong == {"other": "RuntimeError: No available kernel."}
    assert set(result.errors) == {OURS}
    with pytest.raises(RuntimeError, match="No available"):
        measure_case(OpCase("add", [1.0], {OURS: fail}, broken.check, 8), 2, RATES)


def test_a_wrong_result_of_ours_stops_it() -> None:
    with pytest.raises(CodecLMError, match="add: it is another number"):
        measure_case(case(1, 0), 5, RATES)


def test_near_is_a_share_of_the_largest() -> None:
    expected = torch.tensor([1.0, 1000.0])
    assert_near(expected + 0.5, expected, 1e-3, "it")
    for found in (expected + 2, expected * torch.nan):
        with pytest.raises(CodecLMError, match="it is off by"):
            assert_near(found, expected, 1e-3, "it")


@pytest.mark.parametrize("operator", [*op_cases.BUILDERS])
def test_every_operator_has_cases_that_are_right(operator: str) -> None:
    for one in op_cases.BUILDERS[operator]():
        if "d=18" in one.name or "S=1024" in one.name:
            continue  # seconds each
        run = one.run[OURS]
        one.check(run(one.inputs[0]), one.inputs[0])


def test_checks_notice_what_is_wrong() -> None:
    for one in op_cases.BUILDERS["sampling"]():
        if "alone" in one.name:
            continue
        tokens, log_probs, log_zs = one.run[OURS](one.inputs[0])
        with pytest.raises(CodecLMError, match="log-probability"):
            one.check((tokens, log_probs + 1, log_zs), one.inputs[0])
        with pytest.raises(CodecLMError):
            one.check((tokens * 0, log_probs, log_zs), one.inputs[0])


def test_all_implementations_of_small_cases_are_right() -> None:
    """Ours with positions turned, its twins, and the chains of the smallest sampling case."""
    for builder in ("attention", "sampling"):
        for one in op_cases.BUILDERS[builder]():
            if "S=256" in one.name or "alone" in one.name:
                for run in one.run.values():
                    one.check(run(one.inputs[0]), one.inputs[0])


def test_folder_gets_tables_numbers_and_plots_of_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    for name in op_cases.BUILDERS:
        monkeypatch.setitem(op_cases.BUILDERS, name, lambda: iter([case(0, 0)]))
    assert main(["bench", "operators", str(tmp_path), "--rounds", "2", "-q", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)["written"]
    assert len(written) == 3 * len(op_cases.BUILDERS)
    base = tmp_path / f"operators-{card_name()}-lfq"
    assert "add: pycodec_lm" in base.with_suffix(".md").read_text()
    assert json.loads(base.with_suffix(".json").read_text())["cases"][0]["name"] == "add"
    assert base.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_command_prints_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")

    def few() -> Iterator[OpCase]:
        yield case(0, 0)

    monkeypatch.setitem(op_cases.BUILDERS, "lfq", few)
    plot = tmp_path / "plot.png"
    arguments = ["bench", "lfq", "--rounds", "3", "-q"]
    assert main([*arguments, "--json", "--plot", str(plot)]) == 0
    data = json.loads(capsys.readouterr().out)
    assert set(data["cases"][0]["times"]) == {OURS, "other"}
    assert "other" in data["cases"][0]["ratios"]
    assert plot.read_bytes().startswith(b"\x89PNG")
    written = tmp_path / "lfq.json"
    assert main([*arguments, "--json", str(written), "--plot", str(tmp_path)]) == 0
    assert json.loads(written.read_text())["cases"][0]["name"] == "add"
    assert (tmp_path / f"operators-{card_name()}-lfq.png").read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    assert "add: pycodec_lm" in out
    if not torch.cuda.is_available():
        assert "no CUDA device" in out


def test_rounds_are_checked() -> None:
    assert main(["bench", "lfq", "--rounds", "0"]) == 2
