"""Writes the inputs that fuzzing starts from: `make_seeds.py FOLDER [N]`.

Nothing is stored: valid JPEG files come from random walks over the fields, H.264 streams from x264,
and beside each stands one with a fault, so that both sides of every rule are near.
"""

import random
import sys
from pathlib import Path

import numpy as np

from pycodec_lm.bench.field_walk import write_random_file
from pycodec_lm.codecs.avc import AvcSettings, encode

# As in fuzzing.hpp and grammars.hpp.
CONTROL_BYTES = 4
GRAMMARS = 8
# Longer ones cost more time than they find.
MAX_BYTES = 3000


def seed_files(n: int, seed: int = 0) -> list[bytes]:
    """n valid files that are not long, each followed by a broken one."""
    files: list[bytes] = []
    while len(files) < 2 * n:
        # One of three is progressive.
        data = write_random_file(seed, process="progressive" if seed % 3 == 0 else None).data
        seed += 1
        if len(data) > MAX_BYTES:
            continue
        rng = random.Random(seed)
        broken = bytearray(data)
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        files += [data, bytes(broken)]
    return files


def seed_clips(n: int) -> list[bytes]:
    """n small streams of noise that moves, each followed by a broken one."""
    clips: list[bytes] = []
    for seed in range(n):
        rng = np.random.default_rng(seed)
        side = [16, 32, 48, 64]
        settings = AvcSettings(
            width=int(rng.choice(side)),
            height=int(rng.choice(side)),
            frames=int(rng.integers(1, 6)),
            qp=int(rng.choice([1, 12, 24, 37, 51])),
            slices=str(rng.choice(["picture", "macroblock"])),
        )
        shape = (settings.height + 16, settings.width + 16, 3)
        noise = rng.integers(0, 256, shape, np.uint8) // rng.choice([1, 4, 32])
        steps = rng.integers(0, 16, (settings.frames, 2))
        windows = [noise[y : y + settings.height, x : x + settings.width] for y, x in steps]
        data = encode(np.ascontiguousarray(np.stack(windows), dtype=np.uint8), settings)
        broken = bytearray(data[: MAX_BYTES - CONTROL_BYTES])
        broken[int(rng.integers(len(broken)))] ^= 1 << int(rng.integers(8))
        clips += [data[: MAX_BYTES - CONTROL_BYTES], bytes(broken)]
    return clips


def main() -> None:
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 150
    write(Path(sys.argv[1]) / "jpeg", seed_files(n))
    write(Path(sys.argv[1]) / "avc", seed_clips(n))


def write(folder: Path, files: list[bytes]) -> None:
    """The files, each behind its control bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, data in enumerate(files):
        # Every other file under the standard, which is what most of them are files of.
        grammar = 0 if i % 4 < 2 else i // 4 % GRAMMARS
        control = bytes([grammar]) + random.Random(i).randbytes(CONTROL_BYTES - 1)
        (folder / f"{i:04d}").write_bytes(control + data)


if __name__ == "__main__":
    main()
