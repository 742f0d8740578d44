"""Files that the decoders of most machines do not read: samples of 12 bits, and heights that come
late."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import PIL
import pytest

from pycodec_lm import check
from pycodec_lm._core import read_coefficients
from pycodec_lm.bench.decoders import LibjpegPeer, planes_differ
from pycodec_lm.bench.field_walk import write_random_file
from pycodec_lm.bench.structure import Structure, read_structure

pytestmark = pytest.mark.decoders

N_FILES = 25
# What libjpeg is built for: of three and four components, all factors that divide the largest.
_READ_BY_LIBJPEG = {1, 3, 4}


@pytest.fixture(scope="module")
def libjpeg_3(libjpeg: LibjpegPeer, tmp_path_factory: pytest.TempPathFactory) -> LibjpegPeer:
    """With the libjpeg-turbo that Pillow's wheels bring along, which reads 12 bits from 3.0 on."""
    beside = Path(PIL.__file__).parents[1] / "pillow.libs"
    for library in beside.glob("libjpeg-*"):
        if b"jpeg12_read_scanlines" in library.read_bytes():
            return LibjpegPeer(tmp_path_factory.mktemp("libjpeg_3"), library)
    pytest.skip("this Pillow brings no libjpeg-turbo 3")


def random_files(process: str | None, precision: int) -> Iterator[tuple[bytes, Structure]]:
    for seed in itertools.count():
        data = write_random_file(seed, portable=False, process=process).data
        structure = read_structure(data)
        if structure.precision != precision or len(structure.components) not in _READ_BY_LIBJPEG:
            continue
        factors = [(c.h, c.v) for c in structure.components]
        most = [max(values) for values in zip(*factors, strict=True)]
        if all(m % f == 0 for of in factors for m, f in zip(most, of, strict=True)):
            yield data, structure


@pytest.mark.parametrize("process", ["extended", "progressive"])
def test_coefficients_of_12_bit_samples_are_libjpegs(
    process: str, libjpeg_3: LibjpegPeer, tmp_path: Path
) -> None:
    paths = []
    for i, (data, _) in enumerate(itertools.islice(random_files(process, 12), N_FILES)):
        assert check(data).valid
        paths.append(tmp_path / f"{i}.jpg")
        paths[-1].write_bytes(data)
    for path, theirs in zip(paths, libjpeg_3.coefficients(paths), strict=True):
        assert isinstance(theirs, list), theirs
        assert planes_differ(read_coefficients(path.read_bytes()), theirs) is None


def with_late_height(data: bytes, structure: Structure) -> bytes:
    """Y = 0 in the frame header, and DNL behind the first scan (T.81 B.2.5)."""
    sof = next(s for s in structure.segments if s.marker == structure.sof)
    lines_at = sof.offset + 5
    first_scan = next(s for s in structure.segments if s.marker == 0xDA)
    end = min(s.offset for s in structure.segments if s.offset > first_scan.offset)
    lines = data[lines_at : lines_at + 2]
    dnl = b"\xff\xdc\x00\x04" + lines
    return data[:lines_at] + b"\0\0" + data[lines_at + 2 : end] + dnl + data[end:]


@pytest.mark.parametrize("process", ["baseline", "progressive"])
def test_coefficients_under_a_late_height_are_libjpegs(
    process: str, libjpeg: LibjpegPeer, tmp_path: Path
) -> None:
    paths, planes = [], []
    files = ((d, s) for d, s in random_files(process, 8) if not s.n_fill_bytes)
    for i, (data, structure) in enumerate(itertools.islice(files, N_FILES)):
        late = with_late_height(data, structure)
        verdict = check(late)
        assert verdict.valid, verdict.message
        planes.append(read_coefficients(late))
        paths.append(tmp_path / f"{i}.jpg")
        paths[-1].write_bytes(data)  # with the height in its place, for libjpeg
    for ours, theirs in zip(planes, libjpeg.coefficients(paths), strict=True):
        assert isinstance(theirs, list), theirs
        assert planes_differ(ours, theirs) is None
