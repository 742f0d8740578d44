"""Which files may be written: the front of the grammar engine.

A grammar is a set of files. `GrammarMatcher` walks it token by token; the wider the grammar, the
more a model may choose, and the more it must know.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from . import _core
from .errors import UsageError
from .jpeg_tables import (
    SUBSAMPLINGS,
    HuffmanTable,
    HuffmanTables,
    dht_segment,
    quality_tables,
    standard_huffman_tables,
    table_stream,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["JpegGrammar", "recode_jpeg"]

_SOI = b"\xff\xd8"
_EOI = b"\xff\xd9"
_SOF0, _DHT, _SOS, _DRI, _APP0 = 0xC0, 0xC4, 0xDA, 0xDD, 0xE0
_PROCESSES = {"baseline": 0xC0, "extended": 0xC1, "progressive": 0xC2}  # by SOF marker
_JFIF = b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"


class JpegGrammar(_core.JpegGrammar):
    """A set of sequential JPEG files (ITU-T T.81).

    `JpegGrammar()` is every file in scope; each keyword narrows it. `like()` and `jpeg_lm()` pin
    all that stands outside the entropy-coded data.

    Args:
        portable: leave out what is legal but makes some decoder complain (docs/design.md).
        width, height: of the picture, in pixels.
        subsampling: "4:4:4", "4:2:2", "4:2:0", "4:4:0", "4:1:1" or "gray".
        quality: quantization tables as libjpeg makes them, 1 to 100.
        quant_tables: quantization tables by slot, each 64 numbers 1..255 in zig-zag order; the
            first is for the first component, the last for all that have none of their own.
        huffman_tables: {("dc" | "ac", 0 | 1): (code counts of 1..16 bits, values)}.
        restart_interval: MCUs between restart markers, 0 for none.
        process: "baseline" (SOF0) or "extended" (SOF1: four Huffman tables of a class and, unless
            portable, samples of 12 bits), "progressive" (SOF2); None for any.
        abbreviated: allow streams whose tables come from outside.
        tables: the outside tables, as a JPEG stream of tables alone.

    Raises:
        UsageError: a keyword is out of its range or contradicts another.

    >>> JpegGrammar(width=64, height=64, subsampling="gray", quality=50)
    JpegGrammar(width=64, height=64, subsampling='gray', quality=50)
    """

    def __init__(
        self,
        *,
        portable: bool = True,
        width: int | None = None,
        height: int | None = None,
        subsampling: str | None = None,
        quality: int | None = None,
        quant_tables: Sequence[Sequence[int]] | None = None,
        huffman_tables: HuffmanTables | None = None,
        restart_interval: int | None = None,
        process: str | None = None,
        abbreviated: bool = False,
        tables: Buffer | None = None,
        _pinned: Sequence[bytes] = (),
    ) -> None:
        if process is not None and process not in _PROCESSES:
            raise UsageError(f"process '{process}' is not one of {', '.join(_PROCESSES)}")
        if quality is not None and quant_tables is not None:
            raise UsageError("give quality or quant_tables, not both")
        if tables is not None and not abbreviated:
            raise UsageError("outside tables need abbreviated=True")
        if subsampling is not None and subsampling not in SUBSAMPLINGS:
            known = ", ".join(SUBSAMPLINGS)
            raise UsageError(f"subsampling '{subsampling}' is not one of {known}")
        given: dict[str, Any] = {
            "portable": None if portable else False,
            "width": width,
            "height": height,
            "subsampling": subsampling,
            "quality": quality,
            "quant_tables": quant_tables,
            "huffman_tables": huffman_tables,
            "restart_interval": restart_interval,
            "process": process,
            "abbreviated": abbreviated or None,
            "tables": None if tables is None else bytes(tables),
            "_pinned": tuple(_pinned) or None,
        }
        self._given = {name: value for name, value in given.items() if value is not None}
        sampling = [] if subsampling is None else [list(hv) for hv in SUBSAMPLINGS[subsampling]]
        if quality is not None:
            # One component has use for one table.
            quant_tables = quality_tables(quality)[: 1 if len(sampling) == 1 else 2]
        super().__init__(
            portable=portable,
            width=width,
            height=height,
            sampling=sampling,
            quant_tables=quant_tables,
            huffman_tables=None if huffman_tables is None else dict(huffman_tables),
            restart_interval=restart_interval,
            sof=None if process is None else _PROCESSES[process],
            abbreviated=abbreviated,
            tables=self._given.get("tables"),
            pinned=list(_pinned),
        )

    @classmethod
    def like(
        cls, data: Buffer, *, abbreviated: bool = False, tables: Buffer | None = None
    ) -> JpegGrammar:
        """The files that differ from a sample in entropy-coded data only, its fill bytes left out.

        Args:
            data: a valid file.
            abbreviated, tables: as in the constructor.

        Raises:
            UsageError: the sample is not valid; the message says where. Or it has a refinement
                whose Huffman table lacks an end of band short enough for its restart intervals, so
                that it could not follow all scans that may come before it.
        """
        pinned = _core.pin_like(data, abbreviated=abbreviated, tables=tables)
        return cls(abbreviated=abbreviated, tables=tables, _pinned=pinned)

    @classmethod
    def jpeg_lm(
        cls,
        width: int = 256,
        height: int = 256,
        quality: int = 25,
        restart_interval: int = 1,
        subsampling: str = "4:2:0",
        quant_tables: Sequence[Sequence[int]] | None = None,
        huffman_tables: HuffmanTables | None = None,
    ) -> JpegGrammar:
        """The form that JPEG-LM was trained on: an abbreviated stream with a pinned header.

        The bytes are those of Pillow's `save(format="JPEG", streamtype=2,
        restart_marker_blocks=1)`: no tables in the stream, a restart marker after every MCU.
        `to_file()` puts the tables back.

        Args:
            width, height: in pixels, 1 to 65535.
            quality: of the quantization tables, where `quant_tables` gives none.
            restart_interval: MCUs between restart markers, 0 for none.
            subsampling: as in the constructor.
            quant_tables, huffman_tables: outside tables; by default those of the quality, and the
                standard's (Annex K).

        Source: arXiv 2408.08459.
        """
        if subsampling not in SUBSAMPLINGS:
            known = ", ".join(SUBSAMPLINGS)
            raise UsageError(f"subsampling '{subsampling}' is not one of {known}")
        for name, value, least in (
            ("width", width, 1),
            ("height", height, 1),
            ("restart_interval", restart_interval, 0),
        ):
            if not least <= value <= 65535:
                raise UsageError(f"{name} must be {least} to 65535, not {value}")
        sampling = SUBSAMPLINGS[subsampling]
        n = len(sampling)
        if quant_tables is None:
            quant_tables = quality_tables(quality)[: min(n, 2)]
        if huffman_tables is None:
            huffman_tables = {
                key: table for key, table in standard_huffman_tables().items() if key[1] < min(n, 2)
            }
        chroma_slot = {
            "quant": min(1, len(quant_tables) - 1),
            "huffman": int(("dc", 1) in huffman_tables),
        }
        frame = b"".join(
            bytes((i + 1, h << 4 | v, chroma_slot["quant"] if i else 0))
            for i, (h, v) in enumerate(sampling)
        )
        frame_head = b"\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes((n,))
        scan = b"".join(bytes((i + 1, chroma_slot["huffman"] * 0x11 if i else 0)) for i in range(n))
        header = _SOI + _segment(_APP0, _JFIF) + _segment(_SOF0, frame_head + frame)
        if restart_interval:
            header += _segment(_DRI, restart_interval.to_bytes(2, "big"))
        header += _segment(_SOS, bytes((n,)) + scan + b"\x00\x3f\x00")
        return cls(
            abbreviated=True,
            tables=table_stream(quant_tables, huffman_tables),
            _pinned=(header, _EOI),
        )

    @property
    def header(self) -> bytes:
        """The bytes forced at the start, with the first SOS segment; b"" if none are."""
        pinned = self._given.get("_pinned")
        return cast(bytes, pinned[0]) if pinned else b""

    @property
    def tables(self) -> bytes | None:
        """The outside tables, as a JPEG stream of tables alone."""
        return cast("bytes | None", self._given.get("tables"))

    def to_file(self, stream: Buffer) -> bytes:
        """Puts outside tables back in, after SOI: the file any program opens.

        Args:
            stream: a stream of this grammar; one without outside tables comes back as it is.
        """
        stream = bytes(stream)
        if self.tables is None:
            return stream
        if not stream.startswith(_SOI):
            raise UsageError("the stream does not start with SOI, FF D8")
        return _SOI + self.tables[2:-2] + stream[2:]

    def serialize(self) -> bytes:
        """The grammar as JSON, to store beside a model or a data set."""
        spec: dict[str, Any] = dict(self._given)
        if "tables" in spec:
            spec["tables"] = spec["tables"].hex()
        if "_pinned" in spec:
            spec["_pinned"] = [chunk.hex() for chunk in spec["_pinned"]]
        if "quant_tables" in spec:
            spec["quant_tables"] = [list(table) for table in spec["quant_tables"]]
        if "huffman_tables" in spec:
            spec["huffman_tables"] = {
                f"{name}{slot}": [list(bits), values.hex()]
                for (name, slot), (bits, values) in spec["huffman_tables"].items()
            }
        return json.dumps({"codec": "jpeg", **spec}, sort_keys=True).encode()

    @classmethod
    def deserialize(cls, data: Buffer) -> JpegGrammar:
        """The grammar that `serialize()` wrote.

        Raises:
            UsageError: the data are something else.
        """
        try:
            spec = json.loads(bytes(data))
            if spec.pop("codec") != "jpeg":
                raise UsageError("the grammar is not one of JPEG files")
            if "tables" in spec:
                spec["tables"] = bytes.fromhex(spec["tables"])
            if "_pinned" in spec:
                spec["_pinned"] = [bytes.fromhex(chunk) for chunk in spec["_pinned"]]
            if "huffman_tables" in spec:
                spec["huffman_tables"] = {
                    (key[:2], int(key[2:])): (bits, bytes.fromhex(values))
                    for key, (bits, values) in spec["huffman_tables"].items()
                }
            return cls(**spec)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"not a serialized grammar: {error}") from error

    def __repr__(self) -> str:
        shown = []
        for name, value in self._given.items():
            if name in ("tables", "_pinned", "quant_tables", "huffman_tables"):
                value = "..."
            shown.append(f"{name.lstrip('_')}={value if value == '...' else repr(value)}")
        return f"JpegGrammar({', '.join(shown)})"

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        return JpegGrammar.deserialize, (self.serialize(),)


def recode_jpeg(data: Buffer, huffman_tables: Mapping[tuple[str, int], HuffmanTable]) -> bytes:
    """The same coefficients with other Huffman tables: a lossless change of the file.

    Args:
        data: a valid file.
        huffman_tables: {("dc" | "ac", slot): (code counts of 1..16 bits, values)}; they must cover
            every table that the scans name and every symbol that occurs.

    Raises:
        UsageError: the file is not valid, or the tables do not cover it.
    """
    chunks = [_without_tables(chunk) for chunk in _core.pin_like(data)]
    first = chunks[0]
    at_scan = first.rindex(bytes((0xFF, _SOS)))
    chunks[0] = first[:at_scan] + dht_segment(huffman_tables) + first[at_scan:]
    return _core.transcode(data, JpegGrammar(_pinned=chunks))


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


def _without_tables(chunk: bytes) -> bytes:
    """A chunk of whole marker segments without its DHT segments and fill bytes."""
    kept = b""
    at = 0
    while at < len(chunk):
        while chunk[at + 1] == 0xFF:
            at += 1
        marker = chunk[at + 1]
        end = at + 2
        if marker not in (_SOI[1], _EOI[1]):
            end += int.from_bytes(chunk[at + 2 : at + 4], "big")
        if marker != _DHT:
            kept += chunk[at:end]
        at = end
    return kept
