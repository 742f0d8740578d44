"""What an installed package holds, and what a folder of the checkout may not be called."""

import importlib.metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

KERNELS = ["kernels/configs.toml", "kernels/attention.py", "kernels/lfq.py"]
PAGE = [
    f"inspect/{name}"
    for name in ("page.html", "page.css", "page.js", "contents.js", "jpeg.js", "avc.js")
]


@pytest.fixture(scope="module")
def installed_files() -> list[str]:
    try:
        files = importlib.metadata.files("pycodec_lm")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("pycodec_lm is not installed: this test reads the list of installed files")
    assert files
    return [path.as_posix() for path in files if not path.as_posix().startswith("..")]


def test_nothing_is_installed_beside_the_package(installed_files: list[str]) -> None:
    folders = {path.split("/")[0] for path in installed_files}
    assert {name for name in folders if not name.endswith(".dist-info")} == {"pycodec_lm"}


def test_package_holds_no_tests_and_no_sources(installed_files: list[str]) -> None:
    assert [
        path for path in installed_files if "test" in path or path.endswith((".cpp", ".hpp"))
    ] == []


@pytest.mark.parametrize("name", ["py.typed", "_core.pyi", "__main__.py", *PAGE, *KERNELS])
def test_package_holds(installed_files: list[str], name: str) -> None:
    assert f"pycodec_lm/{name}" in installed_files


def test_licence_and_notice_are_installed(installed_files: list[str]) -> None:
    names = {Path(path).name for path in installed_files if ".dist-info/" in path}
    assert {"LICENSE", "NOTICE"} <= names


def test_kernels_is_no_package_of_the_checkout() -> None:
    # A top-level package of this name would hide the one that Hugging Face publishes.
    assert not (ROOT / "kernels" / "__init__.py").exists()
