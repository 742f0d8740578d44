"""Contact sheets: whole pictures as they are, broken ones in red."""

import io

import numpy as np
import pytest
from PIL import Image

from pycodec_lm.generation import generate
from pycodec_lm.generation.sheet import (
    Cell,
    ClipRow,
    cells_of,
    clip_sheet,
    contact_sheet,
    png,
)
from pycodec_lm.models.checkpoint import Checkpoint

RED = (208, 16, 16)
BLUE = (20, 40, 200)


def jpeg(width: int, height: int, color: tuple[int, int, int] = BLUE) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def count(sheet: Image.Image, color: tuple[int, int, int], tolerance: int = 3) -> int:
    return int((np.abs(np.asarray(sheet, int) - color).max(axis=2) <= tolerance).sum())


@pytest.mark.parametrize(
    ("size", "shown"),
    [((32, 32), 128 * 128), ((8, 16), 64 * 128), ((100, 90), 9000), ((640, 320), 256 * 128)],
)
def test_pictures_are_shown_in_a_handy_size(size: tuple[int, int], shown: int) -> None:
    sheet = contact_sheet([Cell(jpeg(*size))])
    assert count(sheet, BLUE, 6) == shown
    assert count(sheet, RED) == 0


def test_enlarged_pixels_stay_squares() -> None:
    buffer = io.BytesIO()
    board = np.indices((8, 8)).sum(axis=0) % 2 * 255
    Image.fromarray(board.astype(np.uint8)).save(buffer, "JPEG", quality=100)
    sheet = np.asarray(contact_sheet([Cell(buffer.getvalue())]), int)[..., 0]
    block = sheet[11 : 11 + 128, 11 : 11 + 128].reshape(8, 16, 8, 16)
    assert (np.ptp(block, axis=(1, 3)) == 0).all()


def test_cells_stand_in_reading_order_in_as_many_columns_as_asked() -> None:
    colors = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40), (40, 200, 200)]
    sheet = contact_sheet([Cell(jpeg(128, 128, color)) for color in colors], columns=2)
    pixels = np.asarray(sheet, int)
    height, width = 128 + 6 + 8, 128 + 6 + 8
    for i, color in enumerate(colors):
        y, x = 8 + height * (i // 2) + 67, 8 + width * (i % 2) + 67
        assert np.abs(pixels[y, x] - color).max() < 8
    assert sheet.size == (8 + 2 * width, 8 + 3 * height)


def test_a_file_that_cannot_be_decoded_gets_a_red_frame_and_the_message() -> None:
    whole, broken = Cell(jpeg(32, 32), "whole"), Cell(b"\xff\xd8\xff", "broken")
    sheet = contact_sheet([whole, broken], title="two files")
    assert count(contact_sheet([whole, whole], title="two files"), RED) == 0
    assert count(sheet, RED) > 4 * 3 * 128
    # The same for one that decodes, but is known to be wrong.
    wrong = Cell(jpeg(32, 32), "wrong", "T.81 F.1.2.2: AC run reaches coefficient 67 " * 4)
    marked = contact_sheet([whole, wrong])
    assert count(marked, RED) > 4 * 3 * 128
    assert count(marked, BLUE, 6) == 2 * 128 * 128
    assert marked.height > contact_sheet([whole, whole]).height


def test_long_captions_do_not_run_into_the_neighbour() -> None:
    cells = [Cell(jpeg(32, 32), "Antidisestablishmentarianism-" * 5), Cell(jpeg(32, 32))]
    pixels = np.asarray(contact_sheet(cells), int)
    assert (pixels[-15:, 8 + 134 :] == 255).all()


def test_generated_files_bring_their_captions_and_faults(checkpoint: Checkpoint) -> None:
    files = generate(checkpoint, n=2, classes=["star"], max_tokens=60)
    files += generate(checkpoint, n=1, classes=[], max_tokens=60, mask=False, temperature=1.3)
    cells = cells_of(files)
    assert [cell.caption for cell in cells] == ["star", "star", ""]
    assert [cell.error for cell in cells] == ["", "", files[2].verdict.message]
    with Image.open(io.BytesIO(png(contact_sheet(cells)))) as sheet:
        sheet.load()
        assert sheet.format == "PNG"
        assert count(sheet.convert("RGB"), RED) > 0


def colored(n: int, width: int, height: int, color: tuple[int, int, int] = BLUE) -> ClipRow:
    return ClipRow(np.full((n, height, width, 3), color, np.uint8))


def test_clips_stand_one_a_row() -> None:
    colors = [(200, 40, 40), (40, 200, 40)]
    sheet = clip_sheet([colored(3, 128, 72, colors[0]), colored(2, 128, 72, colors[1])])
    width, height = 128 + 6 + 8, 72 + 6 + 8
    assert sheet.size == (8 + 3 * width, 8 + 2 * height)
    pixels = np.asarray(sheet, int)
    for row, (n, color) in enumerate(zip((3, 2), colors, strict=True)):
        for column in range(3):
            y, x = 8 + height * row + 39, 8 + width * column + 67
            expected = color if column < n else (255, 255, 255)
            assert tuple(pixels[y, x]) == expected
    assert count(sheet, RED) == 0


def test_frames_are_shown_in_a_handy_size() -> None:
    assert count(clip_sheet([colored(2, 256, 144)]), BLUE) == 2 * 256 * 144
    assert count(clip_sheet([colored(2, 32, 16)]), BLUE) == 2 * 128 * 64
    assert count(clip_sheet([colored(2, 640, 320)]), BLUE) == 2 * 256 * 128


def test_broken_clips_have_red_frames_and_one_message() -> None:
    frames = colored(3, 128, 72).frames
    whole, broken = ClipRow(frames, "whole"), ClipRow(frames, "broken", "a slice ends early")
    sheet = clip_sheet([whole, broken], title="two clips")
    assert count(clip_sheet([whole, whole], title="two clips"), RED) == 0
    assert count(sheet, BLUE) == 6 * 128 * 72
    frame = (128 + 6) * (72 + 6) - 128 * 72
    assert 3 * frame < count(sheet, RED) < 3 * frame + 1000
    nothing = ClipRow(frames[:0], "nothing", "no frame can be decoded")
    assert count(clip_sheet([whole, nothing]), RED) > frame
    assert clip_sheet([nothing]).size > (0, 0)
    assert clip_sheet([]).size > (0, 0)
