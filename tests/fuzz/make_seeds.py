"""Writes the inputs that fuzzing starts from: `make_seeds.py FOLDER [N]`.

Nothing is stored: valid files come from random walks over the fields, and beside each stands one
with a fault, so that both sides of every rule are near.
"""

import random
import sys
from pathlib import Path

from pycodec_lm.bench.field_walk import write_random_file

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


def main() -> None:
    folder = Path(sys.argv[1])
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 150
    folder.mkdir(parents=True, exist_ok=True)
    for i, data in enumerate(seed_files(n)):
        # Every other file under the standard, which is what most of them are files of.
        grammar = 0 if i % 4 < 2 else i // 4 % GRAMMARS
        control = bytes([grammar]) + random.Random(i).randbytes(CONTROL_BYTES - 1)
        (folder / f"{i:04d}").write_bytes(control + data)


if __name__ == "__main__":
    main()
