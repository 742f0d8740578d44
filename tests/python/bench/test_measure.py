import json

from pycodec_lm.bench.measure import Report, Spread, machine, timer_floor_ns


def test_spread_subtracts_the_floor_and_scales() -> None:
    spread = Spread.of([*range(100, 201)], floor=100, scale=0.5)
    assert (spread.n, spread.median, spread.p10, spread.p90, spread.p99) == (101, 25, 5, 45, 49.5)
    assert spread.mean == 25


def test_spread_of_what_is_below_the_floor_is_zero() -> None:
    assert Spread.of([10, 20], floor=50).median == 0


def test_the_timer_has_a_floor() -> None:
    assert 0 < timer_floor_ns(1001) < 1e6


def test_reports_align_texts_left_and_numbers_right() -> None:
    report = Report("Speed", "pycodec-lm bench speed")
    report.add_table("Times", ["reader", "us"], [["ours", "1.5"], ["a longer name", "12.25"]])
    report.data["ours"] = 1.5
    page = report.to_markdown()
    assert page.startswith("# Speed\n\n`pycodec-lm bench speed`\n")
    assert "| reader        |    us |\n| ------------- | ----: |\n" in page
    assert "| ours          |   1.5 |\n" in page
    assert all(f"- {name}: {value}" in page for name, value in machine().items())
    assert json.loads(json.dumps(report.to_json()))["ours"] == 1.5
