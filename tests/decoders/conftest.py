import os
import shutil
from pathlib import Path

import pytest

from pycodec_lm.bench.decoders import DECODERS, LibjpegPeer, available_decoders
from pycodec_lm.errors import CodecLMError


@pytest.fixture(scope="session")
def decoders() -> list[str]:
    """All decoders; the test is skipped where one is missing."""
    missing = [name for name in DECODERS if name not in available_decoders()]
    if missing:
        pytest.skip(f"not on the PATH: {', '.join(missing)}")
    return [*DECODERS]


@pytest.fixture(scope="session")
def libjpeg(tmp_path_factory: pytest.TempPathFactory) -> LibjpegPeer:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    try:
        return LibjpegPeer(tmp_path_factory.mktemp("libjpeg"))
    except CodecLMError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The corpora that stand beside a checkout, or where PYCODEC_LM_CORPORA says."""
    beside = Path(__file__).parents[2].parent / "shared" / "corpora"
    folder = Path(os.environ.get("PYCODEC_LM_CORPORA", beside))
    if not folder.is_dir():
        pytest.skip("there are no corpora: set PYCODEC_LM_CORPORA to their folder")
    return folder
