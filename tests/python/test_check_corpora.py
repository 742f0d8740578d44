"""Real files: what two decoders read in silence is valid, or the rule that it breaks is named."""

import csv
from pathlib import Path

import pytest

import pycodec_lm as pcl

CORPORA = Path(__file__).parents[3] / "shared" / "corpora"

pytestmark = [
    pytest.mark.corpora,
    pytest.mark.skipif(not CORPORA.is_dir(), reason="there are no corpora beside the checkout"),
]

# Baseline files that djpeg -strict and ffmpeg read without a word, and why they are not valid.
REFUSED = {
    # B.1.1.4: the length of a segment counts its own two bytes; this COM says 0.
    "google+wuffs__test_data_artificial-jpeg_hippopotamus-bad-comment-length.jpeg": (
        "segment_length"
    ),
    # F.1.2.3: padding is made of 1-bits; no decoder looks at it.
    "image-rs+jpeg-decoder__tests_crashtest_images_multiple-0xff-before-eoi.jpg": "padding_bit",
    "image-rs+jpeg-decoder__tests_crashtest_images_imagetestsuite_"
    "865db3dd2d380626f16b6f9dc6d62dba.jpg": "padding_bit",
    "strongcourage+fuzzing-corpus__jpg_mozilla_x31.jpg": "padding_bit",
    # B.2.1: restart markers stand between intervals, none after the last.
    "microsoft+lepton_jpeg_rust__images_eof_and_trailingrst.jpg": "restart_unexpected",
    "microsoft+lepton_jpeg_rust__images_trailingrst_missing_in_jpg.jpg": "restart_unexpected",
    "strongcourage+fuzzing-corpus__jpg_lepton_trailingrst.jpg": "restart_unexpected",
    # B.2.3: every component is coded in some scan; these end after one of three.
    "corkami+pocs__images_jpg_pics_rgb_scan1.jpg": "scan_missing",
    "corkami+pocs__images_jpg_pics_rgb_scan2.jpg": "scan_missing",
    # B.2.5: DNL follows the first scan; here it is the first segment.
    "haraldk+TwelveMonkeys__imageio_imageio-jpeg_src_test_resources_jpeg_dnl-marker.jpg": (
        "unexpected_marker"
    ),
    # B.2.2: component identifiers differ from one another.
    "haraldk+TwelveMonkeys__imageio_imageio-jpeg_src_test_resources_jpeg_duplicate-component-ids"
    ".jpg": "component_repeated",
}


def rows() -> list[dict[str, str]]:
    with (CORPORA / "jpeg.tsv").open(newline="") as table:
        return [*csv.DictReader(table, delimiter="\t")]


def test_every_file_that_an_encoder_wrote_is_valid() -> None:
    verdicts = {path.name: pcl.check(path) for path in sorted((CORPORA / "q25").glob("*.jpg"))}
    assert len(verdicts) == 500
    assert {name: v.message for name, v in verdicts.items() if not v} == {}


def test_baseline_files_that_decoders_read_silently_are_valid_or_break_a_named_rule() -> None:
    silent = [
        row["file"]
        for row in rows()
        if (row["sof"], row["precision"]) == ("SOF0", "8")
        and (row["djpeg_strict_rc"], row["ffmpeg_rc"]) == ("0", "0")
    ]
    verdicts = {name: pcl.check(CORPORA / "jpeg" / name) for name in silent}
    assert len(verdicts) > 200
    assert {name: v.code for name, v in verdicts.items() if not v} == REFUSED


def test_no_file_that_all_decoders_refuse_is_valid() -> None:
    refused = [row["file"] for row in rows() if row["label"].startswith("reject")]
    assert len(refused) > 600
    assert [name for name in refused if pcl.check(CORPORA / "jpeg" / name).valid] == []


@pytest.mark.parametrize("sof", ["SOF0", "SOF1", "SOF2"])
def test_files_built_to_be_valid_are(sof: str) -> None:
    built = [row for row in rows() if (row["label"], row["sof"]) == ("valid_by_construction", sof)]
    assert {row["precision"] for row in built} == ({"8"} if sof == "SOF0" else {"8", "12"})
    verdicts = {row["file"]: pcl.check(CORPORA / "jpeg" / row["file"]) for row in built}
    assert {name: v.message for name, v in verdicts.items() if not v} == {}


def test_other_processes_are_unsupported_where_they_are_well_formed() -> None:
    built = [
        row
        for row in rows()
        if row["label"] == "valid_by_construction"
        and row["sof"] not in ("SOF0", "SOF1", "SOF2", "SOF55(LS)")
    ]
    verdicts = {row["file"]: pcl.check(CORPORA / "jpeg" / row["file"]) for row in built}
    assert len(verdicts) > 100
    assert {name: v.message for name, v in verdicts.items() if v.family != "unsupported"} == {}
