"""The Triton kernels. Users reach them through `pycodec_lm.ops`.

Their files stand in `kernels/` of a checkout, which is no package of its own because Hugging Face
publishes one of that name. They are installed beside this file; in a checkout they are found there.
"""

from pathlib import Path

_checkout = Path(__file__).parents[2]
if (_checkout / "pyproject.toml").is_file() and (_checkout / "kernels").is_dir():
    # First, because an installed package, whose folder may be searched too, can be older.
    __path__.insert(0, str(_checkout / "kernels"))
