"""Writes docs/rules-jpeg.md and docs/rules-h264.md. In a checkout, with djpeg and ffmpeg on the
PATH, and openh264 with its header:

python -m tests.vectors.rules_page
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pycodec_lm import _core
from pycodec_lm.bench.avc_decoders import AVC_DECODERS
from pycodec_lm.bench.decoders import decoder_versions

from .avc_decoders import ask_avc, avc_versions_line
from .avc_vectors import AvcVector, all_avc_vectors
from .decoders import DECODERS, ask_all
from .page import AnyPage, Page
from .vectors import Vector, all_vectors

_DOCS = Path(__file__).parents[2] / "docs"
_JPEG_HEAD = """\
# The rules of JPEG, and who checks them

Made by `{command}`; do not edit. Each row is one file of
`tests/vectors/jpeg`, written there as syntax elements; a rule and its clause in ITU-T T.81 stand
before the first of its files. A file of the upper table of a chapter breaks this rule and no other,
and `pycodec_lm.check` gives the code at the element named; a file of the lower table is valid, and
`check` accepts it. Files of other processes are legal and refused as unsupported.

"Lenient" says whether `check(strict=False)` reads such a file and notes what is wrong, which it
means to do where all three decoders read on without a word, or refuses it.

What decoders do is from a run, not from their documentation: `djpeg -strict` (a warning is what
djpeg without that option goes on after), `ffmpeg -err_detect explode -xerror`, and Pillow with
`load()`. Messages are shortened. Abbreviated streams are given to decoders as they are, without
the tables they need.

{versions}

{counts}
"""
_AVC_HEAD = """\
# The rules of H.264, and who checks them

Made by `{command}`; do not edit. Each row is one stream of
`tests/vectors/h264`, written there as syntax elements; a rule and its clause in ITU-T H.264 stand
before the first of its streams. A stream of the upper table of a chapter breaks this rule and no
other, and `pycodec_lm.check` gives the code at the element named; a stream of the lower table is
valid, and `check` accepts it.

Not read, and refused as `unsupported` by a code of their own (the last chapter has a stream of
each): profiles other than baseline, main and high; monochrome, 4:2:2 and 4:4:4; samples of more
than 8 bits; fields; SP and SI slices; slice groups; slices in arbitrary order; redundant
pictures; data partitioning. NAL units that decoders pass over (types 0 and 13 to 31, those of
scalable and multiview coding among them) are passed over here, where they may stand.

Not judged: bit rates, the coded picture buffer and picture rates of a level, MinCR and slice rates,
which hang on timing; what SEI messages say; the range of transformed values (8.5). A stream begins
with an IDR picture, ends behind any whole picture, and never relies on concealment.

What decoders do is from a run, not from their documentation: libavcodec by `ffmpeg -err_detect
explode -xerror`, openh264 by a small program that conceals nothing. Messages are shortened. Of
valid streams the pictures are counted as well.

{versions}

{counts}
"""


def _ask_jpeg(vectors: Sequence[Vector]) -> list[tuple[str, ...]]:
    return ask_all([vector.data for vector in vectors])


def _jpeg_versions_line() -> str:
    versions = decoder_versions()
    return "; ".join(
        f"{name}: {versions[name].split(' Copyright')[0].strip()}" for name in DECODERS
    )


def _is_unsupported_jpeg(vector: Vector) -> bool:
    status, _, _ = _core.check_jpeg(vector.data, **vector.options)
    return status.family == "unsupported"


def _is_unsupported_avc(vector: AvcVector) -> bool:
    status, _ = _core.check_h264(vector.data)
    return status.family == "unsupported"


def _lenient(vector: Vector) -> str:
    is_passed_over = bool(_core.check_jpeg_leniently(vector.data, **vector.options)[0])
    return "noted" if is_passed_over else "refused"


PAGES: tuple[AnyPage, ...] = (
    Page(
        path=_DOCS / "rules-jpeg.md",
        head=_JPEG_HEAD,
        decoders=DECODERS,
        words={"error": "errors", "warning": "warnings"},
        vectors=all_vectors,
        ask=_ask_jpeg,
        versions=_jpeg_versions_line,
        is_unsupported=_is_unsupported_jpeg,
        extra={"lenient": _lenient},
    ),
    Page(
        path=_DOCS / "rules-h264.md",
        head=_AVC_HEAD,
        decoders=AVC_DECODERS,
        words={"error": "errors", "count": "other counts"},
        vectors=all_avc_vectors,
        ask=ask_avc,
        versions=avc_versions_line,
        is_unsupported=_is_unsupported_avc,
        extra={},
    ),
)


if __name__ == "__main__":
    for page in PAGES:
        page.renew()
