"""Importing the package is cheap, and checking needs no torch."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import pycodec_lm

HEAVY = ("torch", "triton", "av", "tokenizers", "safetensors")
BLOCK = f"""
    import sys

    class Blocker:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in {HEAVY!r}:
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
            return None

    sys.meta_path.insert(0, Blocker())
"""


PACKAGE = Path(pycodec_lm.__file__).parent


def run_python(code: str, path: str = str(PACKAGE.parent)) -> str:
    """Runs `code` in a fresh interpreter that imports the same package as this one."""
    result = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(code)],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def test_import_loads_no_other_package() -> None:
    loaded = run_python(
        f"""
        import sys
        import pycodec_lm
        print([name for name in (*{HEAVY!r}, "numpy", "PIL") if name in sys.modules])
        """
    )
    assert loaded == "[]\n"


def test_check_works_where_torch_is_missing() -> None:
    out = run_python(
        BLOCK
        + """
    import pycodec_lm as pcl
    print(pcl.check(b"\\xff\\xd8\\xff").family)
    """
    )
    assert out == "truncated\n"


def test_matcher_with_numpy_bitmask_works_where_torch_is_missing() -> None:
    out = run_python(
        BLOCK
        + """
    import numpy as np
    import pycodec_lm as pcl

    info = pcl.TokenizerInfo([bytes([b]) for b in range(256)] + [b""], stop_token_ids=[256])
    compiled = pcl.compile_grammar(pcl.JpegGrammar(), info)
    matcher = pcl.GrammarMatcher(compiled, max_tokens=1000)
    bitmask = pcl.allocate_token_bitmask(1, info.vocab_size)
    assert matcher.fill_next_token_bitmask(bitmask)
    bits = np.unpackbits(bitmask.view(np.uint8), bitorder="little")
    print(np.flatnonzero(bits).tolist())
    logits = np.zeros((1, info.vocab_size), np.float32)
    pcl.apply_token_bitmask_inplace(logits, bitmask)
    print(np.isfinite(logits).sum(), matcher.accept_token(0), matcher.accept_token(0xFF))
    """
    )
    assert out == "[255]\n1 False True\n"


def test_inspect_and_complete_work_where_torch_is_missing(tmp_path: Path) -> None:
    out = run_python(
        BLOCK
        + f"""
    import os
    from pycodec_lm.cli.main import main

    os.chdir({str(tmp_path)!r})
    open("prefix.jpg", "wb").write(b"\\xff\\xd8\\xff")
    assert main(["complete", "prefix.jpg", "-o", "whole.jpg"]) == 0
    assert main(["inspect", "whole.jpg", "--html", "page.html"]) == 0
    """
    )
    assert "whole.jpg: valid" in out
    assert (tmp_path / "page.html").stat().st_size > 10_000


def test_tokenizer_info_reads_a_file_where_tokenizers_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    pycodec_lm.ByteTokenizer([(b"\xff", b"\xd8")]).save(path)
    out = run_python(
        BLOCK
        + f"""
    import pycodec_lm as pcl
    info = pcl.TokenizerInfo.from_file({str(path)!r})
    print(info.vocab_size, info.encoded_vocab[256], info.stop_token_ids, info.special_token_ids)
    """
    )
    assert out == "260 b'\\xff\\xd8' [259] [257, 258]\n"


def test_every_public_name_loads() -> None:
    missing = [name for name in pycodec_lm.__all__ if not hasattr(pycodec_lm, name)]
    assert missing == []
    assert dir(pycodec_lm) == sorted(pycodec_lm.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = pycodec_lm.nonsense


def test_check_stays_the_function_after_its_module_was_imported() -> None:
    out = run_python(
        """
        import pycodec_lm.check
        import pycodec_lm as pcl
        from pycodec_lm.check import Verdict
        print(isinstance(pcl.check(b""), Verdict))
        """
    )
    assert out == "True\n"


def copy_package(folder: Path, *, with_core: bool) -> Path:
    skipped = ["__pycache__"] if with_core else ["__pycache__", "_core.*"]
    shutil.copytree(PACKAGE, folder / "pycodec_lm", ignore=shutil.ignore_patterns(*skipped))
    if with_core:
        shutil.copy(str(pycodec_lm._core.__file__), folder / "pycodec_lm")
    return folder


def test_checkout_uses_the_compiled_part_of_the_installed_package(tmp_path: Path) -> None:
    checkout = copy_package(tmp_path / "checkout", with_core=False)
    installed = copy_package(tmp_path / "installed", with_core=True)
    out = run_python(
        """
        import pycodec_lm as pcl
        from pycodec_lm import _core, grammar
        print(pcl.__file__, grammar.__file__, _core.__file__, sep="\\n")
        """,
        path=os.pathsep.join([str(checkout), str(installed)]),
    )
    package, grammar, core = map(Path, out.splitlines())
    assert package.parents[1] == grammar.parents[1] == checkout
    assert core.parents[1] == installed


def test_missing_compiled_part_says_what_to_do(tmp_path: Path) -> None:
    checkout = copy_package(tmp_path, with_core=False)
    result = subprocess.run(
        # Without site-packages, where another copy may be installed.
        [sys.executable, "-P", "-S", "-c", "import pycodec_lm"],
        env=os.environ | {"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "run `python -m pip install .` in the checkout" in result.stderr.splitlines()[-1]
