import io

import pytest
from PIL import Image

from pycodec_lm.bench.structure import SOF0, SOS, read_structure


def picture(mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.new(mode, (70, 41), 77 if mode == "L" else (200, 30, 90)).save(stream, "JPEG", **options)
    return stream.getvalue()


def test_components_and_mcus_of_a_file_of_another_encoder() -> None:
    structure = read_structure(picture(subsampling="4:2:0", restart_marker_blocks=4))
    assert (structure.width, structure.height) == (70, 41)
    assert structure.sampling == ((2, 2), (1, 1), (1, 1))
    (scan,) = structure.scans
    # 70 x 41 pixels in MCUs of 16 x 16.
    assert (scan.mcus_wide, scan.mcus_high, scan.is_interleaved) == (5, 3, True)
    assert scan.restart_interval == 4
    assert [marker & 7 for marker, _ in structure.restarts] == [0, 1, 2]
    assert (structure.blocks_of(0), structure.blocks_of(1)) == ((9, 6), (5, 3))


def test_offsets_of_segments_and_restarts_are_those_of_their_markers() -> None:
    data = picture(restart_marker_blocks=2)
    structure = read_structure(data)
    for segment in structure.segments:
        assert data[segment.offset : segment.offset + 2] == bytes([0xFF, segment.marker])
    for marker, offset in structure.restarts:
        assert data[offset - 1 : offset + 1] == bytes([0xFF, marker])
    assert {SOF0, SOS} <= {*structure.markers()}


def test_a_single_component_has_an_mcu_a_block() -> None:
    (scan,) = read_structure(picture("L")).scans
    assert (scan.mcus_wide, scan.mcus_high, scan.is_interleaved) == (9, 6, False)


def test_fill_bytes_are_counted_and_no_part_of_a_segment() -> None:
    data = picture("L")
    filled = data[:2] + b"\xff\xff" + data[2:]
    assert read_structure(filled).n_fill_bytes == 2
    assert read_structure(filled).scans == read_structure(data).scans


def test_what_starts_with_no_marker_is_refused() -> None:
    with pytest.raises(ValueError, match="no marker at byte 2"):
        read_structure(b"\xff\xd8\x00")
