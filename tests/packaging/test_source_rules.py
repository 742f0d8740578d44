"""The engine knows neither Python nor torch."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOREIGN_INCLUDE = re.compile(r'#\s*include\s*[<"](pybind11|torch|ATen|c10|Python\.h)')


def test_only_bindings_include_python_and_torch_is_included_nowhere() -> None:
    sources = [p for p in (ROOT / "csrc").rglob("*") if p.suffix in (".cpp", ".hpp")]
    engine = [p for p in sources if p.parent.name != "bindings"]
    assert len(engine) > 10
    assert [p.name for p in engine if FOREIGN_INCLUDE.search(p.read_text())] == []
    assert [p.name for p in sources if "torch" in p.read_text()] == []
