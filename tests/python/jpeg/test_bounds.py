"""What a hostile header costs: memory is bounded by the file's size, not by what the file says.

Peak memory of a check is at most 16 MB more than before it, and 32 bytes for each byte of the file.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CLEAR = Path("/proc/self/clear_refs")
pytestmark = pytest.mark.skipif(
    not CLEAR.exists(), reason="the peak of memory cannot be reset here (no /proc/self/clear_refs)"
)

FIXED_BYTES = 16 << 20
BYTES_PER_BYTE = 32

# In a process of its own. The peak is reset before the call: that of getrusage() would still be
# what importing took, or even that of the parent process.
MEASURE = """
import json, sys
from pathlib import Path
from pycodec_lm import _core
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(l.split()[1]) for l in lines if l.startswith("VmHWM:"))
data = Path(sys.argv[1]).read_bytes()
Path("/proc/self/clear_refs").write_text("5")
before = peak()
if sys.argv[2] == "planes":
    code = "ok"
    _core.read_coefficients(data)
else:
    code = _core.check_jpeg(data, by_push=sys.argv[2] == "push")[0].code
print(json.dumps({"code": code, "grown": peak() - before}))
"""


def measure(data: bytes, way: str, path: Path) -> tuple[str, int]:
    """(code, bytes that the peak of memory has grown by)"""
    path.write_bytes(data)
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), way], capture_output=True, check=True, text=True
    )
    result = json.loads(run.stdout)
    return result["code"], result["grown"]


def segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


SOI = b"\xff\xd8"
DQT = segment(0xDB, b"\x00" + bytes([1] * 64))
ONE_DC = bytes([0x00, 1, *[0] * 15, 0])
ONE_AC = bytes([0x10, 1, *[0] * 15, 0])
DHT = segment(0xC4, ONE_DC + ONE_AC)
HUGE = b"\x08\xff\xff\xff\xff"  # 8 bits, 65,535 x 65,535
GRAY = segment(0xC0, HUGE + b"\x01\x01\x11\x00")
COLOR = segment(0xC0, HUGE + bytes([3, 1, 0x44, 0, 2, 0x11, 0, 3, 0x11, 0]))
SOS = segment(0xDA, bytes.fromhex("01 01 00 00 3f 00"))
MCUS = bytes(200_000)


def tables(n: int) -> bytes:
    """DHT segments that all differ: none can be shared."""
    return b"".join(
        segment(0xC4, bytes([0x10, 0, 0, 0, 0, 0, 0, 0, 250, *[0] * 8]) + shuffled(i))
        for i in range(n)
    )


def shuffled(i: int) -> bytes:
    values = [*range(250)]
    j = 1 + i % 249
    values[0], values[j] = values[j], values[0]
    k = 1 + i // 249 % 249
    values[1], values[k] = values[k], values[1]
    return bytes(values)


HOSTILE = {
    "gray, 65,535 x 65,535": (SOI + DQT + GRAY + DHT + SOS + MCUS, "truncated"),
    "4:2:0 and more, one scan each": (SOI + DQT + COLOR + DHT + SOS + MCUS, "truncated"),
    "10,000 tables that differ": (SOI + tables(10_000), "truncated"),
    "20,000 tables that are one": (SOI + DHT * 20_000, "truncated"),
    "a long restart interval, and more": (
        SOI + DQT + GRAY + DHT + segment(0xDD, b"\xff\xff") + SOS + MCUS,
        "padding_bit",
    ),
    "restart intervals of one MCU": (
        SOI + DQT + GRAY + DHT + segment(0xDD, b"\x00\x01") + SOS
        + b"".join(b"\x3f\xff" + bytes([0xD0 + i % 8]) for i in range(100_000)),
        "truncated",
    ),
    "10,000 restart intervals given": (SOI + segment(0xDD, b"\x00\x01") * 10_000, "truncated"),
    "long texts": (SOI + segment(0xFE, bytes(65_533)) * 40, "truncated"),
    "fill bytes": (SOI + b"\xff" * 1_000_000, "truncated"),
    "255 components": (SOI + b"\xff\xc0\x03\x05\x08" + bytes(800), "segment_length"),
    "a scan after a scan after a scan": (
        SOI + DQT + segment(0xC0, b"\x08\x00\x08\x00\x08\x04" + bytes(
            value for i in range(4) for value in (i, 0x11, 0)
        )) + DHT + b"".join(
            segment(0xDA, bytes([1, i % 4, 0, 0, 63, 0])) + b"\x3f" for i in range(10_000)
        ),
        "unexpected_marker",
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", ["whole", "push"])
@pytest.mark.parametrize("name", HOSTILE)
def test_memory_is_bounded_by_the_size_of_the_file(name: str, way: str, tmp_path: Path) -> None:
    data, expected = HOSTILE[name]
    code, grown = measure(data, way, tmp_path / "hostile.jpg")
    assert code == expected
    assert grown <= FIXED_BYTES + BYTES_PER_BYTE * len(data)


def test_what_takes_memory_is_seen_to_take_it(tmp_path: Path) -> None:
    size = 8 * 724  # 724 x 724 blocks of 128 bytes
    frame = segment(0xC0, b"\x08" + size.to_bytes(2, "big") * 2 + b"\x01\x01\x11\x00")
    n_bits = 2 * 724 * 724
    data = SOI + DQT + frame + DHT + SOS + bytes(n_bits // 8) + b"\xff\xd9"
    _, grown = measure(data, "planes", tmp_path / "large.jpg")
    assert grown >= 64 << 20
