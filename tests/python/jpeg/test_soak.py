"""The check against its slow twin, for long."""

import random

import pytest

from pycodec_lm import _core
from pycodec_lm.bench.field_walk import write_random_file

pytestmark = pytest.mark.soak


def mutant(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(out))
        change = rng.randrange(4)
        if change == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif change == 1:
            out[at] = rng.choice([0x00, 0xFF, rng.randrange(256)])
        elif change == 2:
            del out[at]
        else:
            out.insert(at, rng.choice([0x00, 0xFF, rng.randrange(256)]))
    return bytes(out)


@pytest.mark.parametrize("first", range(0, 2000, 100))
def test_check_is_its_slow_twin_on_mutants_of_random_files(first: int) -> None:
    rng = random.Random(first)
    for seed in range(first, first + 100):
        data = write_random_file(seed).data
        assert _core.check_jpeg(data) == _core.check_jpeg(data, by_push=True)
        for _ in range(40):
            broken = mutant(data, rng)
            fast = _core.check_jpeg(broken)
            assert fast == _core.check_jpeg(broken, by_push=True), (seed, broken.hex())
