"""Syntax elements to bytes, legal or not: an independent speller of ITU-T T.81.

A file is a list of parts in the order of Figure B.2: marker segments, and entropy-coded segments
(ECS). A part is a list of pieces, each the bits of one syntax element. Nothing here judges; a test
holds what is legal to the bytes that the engine's own writer makes of the same elements.

How parts are written in YAML:

    SOI  EOI  RST0  FF02                    a marker alone, by its name or its code
    {fill: 2}  {bytes: "00 12"}             fill bytes, and bytes that are nothing
    {DQT: {Pq: 0, Tq: 0, Qk: 16}}           one number for all 64, or a list of them
    {DHT: {Tc: 1, Th: 0, codes: {2: [0/0, 0/1], 9: [15/0, 3..60]}}}  symbols by code length
    {SOF0: {P: 8, Y: 8, X: 8, components: [{Ci: 1, Hi: 1, Vi: 1, Tqi: 0}]}}
    {SOS: {components: [{Csj: 1, Tdj: 0, Taj: 0}], Ss: 0, Se: 63, Ah: 0, Al: 0}}
    {DRI: 2}  {DNL: 8}  {COM: text}  {APP0: [0x4A, 0x46]}
    {ECS: [DC 2:-3 0/1:1 15/0 0/2:2 0/0, 8 x DC 0 0/0]}        a line for each block

A list in place of a table is several tables in one segment. Lengths and counts (Lf, Nf, Li ...) are
worked out; edits make them wrong. A DC symbol is its category, an AC symbol is run/size; after the
colon stands the value (of DC: the difference) whose amplitude bits follow; 3*15/0 is three times
15/0. In progressive scans
2/0:1 is EOB2 with the extra bits 01, "DC+1" the refining bit of a DC coefficient, "0/1:-1 +0 +1" a
new coefficient and then two correction bits. DC=1111 and AC=1111 are bits that are no code, and
padding=011 is padding that is not made of 1-bits.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

MARKERS = {
    **{f"SOF{n}": 0xC0 + n for n in (0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15)},
    **{f"RST{n}": 0xD0 + n for n in range(8)},
    **{f"APP{n}": 0xE0 + n for n in range(16)},
    **{f"JPG{n}": 0xF0 + n for n in range(14)},
    "DHT": 0xC4,
    "JPG": 0xC8,
    "DAC": 0xCC,
    "SOI": 0xD8,
    "EOI": 0xD9,
    "SOS": 0xDA,
    "DQT": 0xDB,
    "DNL": 0xDC,
    "DRI": 0xDD,
    "DHP": 0xDE,
    "EXP": 0xDF,
    "COM": 0xFE,
    "TEM": 0x01,
    "fill": 0xFF,
}  # T.81 Table B.1

DC_CODE, DC_BITS, AC_CODE, AC_BITS = "DC code", "DC bits", "AC code", "AC bits"
PADDING, STUFFING, PREFIX, MARKER = "padding", "stuffing", "marker prefix", "marker"
# Of progressive scans.
EOB_BITS, DC_REFINEMENT, CORRECTION = "EOB bits", "DC bit", "correction bit"

Codes = dict[int, str]  # symbol: code


@dataclass
class Piece:
    """The bits of one syntax element."""

    element: str
    bits: str | None  # None: padding, known when the bits before it are
    codes: Codes | None = None  # the table of a Huffman code

    @property
    def value(self) -> int:
        """The number, or the symbol of the code: what JpegWriter.write() takes."""
        assert self.bits is not None
        if self.codes is None:
            return int(self.bits, 2)
        return next(symbol for symbol, code in self.codes.items() if code == self.bits)


@dataclass
class Part:
    """A marker segment or an entropy-coded segment."""

    name: str
    pieces: list[Piece]
    before: Speller  # what the parts before it have said
    stuffing: dict[int, bytes] = field(default_factory=dict)  # what stands for the n-th stuffed 00

    @property
    def is_entropy_coded(self) -> bool:
        return self.name == "ECS"


@dataclass
class Assembled:
    """A file, and where its pieces are: 8 * byte + bit of each of their bits."""

    data: bytes
    places: dict[int, list[int]]  # by id() of the piece
    stuffed: dict[int, list[int]]  # by id() of the part: the bytes that stand for stuffed 00s


def number(element: str, value: int, n_bits: int) -> Piece:
    """A number of so many bits."""
    return Piece(element, f"{value:0{n_bits}b}")


def symbol_of(text: str | int) -> int:
    """'15/0' is F0; a plain number is itself."""
    if isinstance(text, int):
        return text
    run, slash, size = text.partition("/")
    return int(run) << 4 | int(size) if slash else int(run, 0)


def symbols_of(row: Iterable[str | int]) -> list[int]:
    """Symbols of a row of codes; "3..5" is 3, 4 and 5."""
    symbols: list[int] = []
    for entry in row:
        low, dots, high = str(entry).partition("..")
        symbols += range(int(low), int(high) + 1) if dots else [symbol_of(entry)]
    return symbols


def amplitude(value: int, size: int) -> str:
    """T.81 F.1.2.1: negative values as what is one less, in the low-order bits."""
    if size == 0:
        return ""
    return f"{(value if value >= 0 else value - 1) & ((1 << size) - 1):0{size}b}"


def codes_of(counts: Sequence[int], symbols: Sequence[int]) -> Codes:
    """T.81 C.2. A symbol that stands twice has its first code; an overfull code has what fits."""
    codes: Codes = {}
    code = 0
    left = list(symbols)
    for length, n in enumerate(counts, start=1):
        for _ in range(n):
            if left:
                codes.setdefault(left.pop(0), f"{code & ((1 << length) - 1):0{length}b}")
            code += 1
        code <<= 1
    return codes


def _listed(body: Any) -> list[Any]:
    return body if isinstance(body, list) else [body]


def _repeated(tokens: Iterable[str]) -> Iterator[str]:
    """'3*0/1:1' is that token three times."""
    for token in tokens:
        times, star, what = token.rpartition("*")
        yield from [what] * (int(times) if star else 1)


@dataclass
class Speller:
    """What the parts so far have said that the next ones are spelled by."""

    components: list[dict[str, int]] = field(default_factory=list)  # of the frame
    scan: list[dict[str, int]] = field(default_factory=list)
    tables: dict[tuple[int, int], Codes] = field(default_factory=dict)  # (Tc, Th)

    def spell(self, items: Iterable[Any]) -> list[Part]:
        """Parts of items as YAML gives them."""
        parts = [self.part(item) for item in items]
        if parts[0].name == "SOI":
            parts[0].pieces = [number("SOI", 0xFFD8, 16)]
        return parts

    def part(self, item: Any) -> Part:
        before = copy.deepcopy(self)
        if isinstance(item, str):
            return Part(item, self._marker(item), before)
        [(name, body)] = item.items()
        if name == "ECS":
            return Part(name, self._entropy_coded(body), before)
        if name == "fill":
            return Part(name, [number(MARKER, 0xFF, 8) for _ in range(body)], before)
        if name == "bytes":
            pieces = [number("byte", value, 8) for value in bytes.fromhex(body)]
            return Part(name, pieces, before)
        contents = self._contents(name, body)
        n_bytes = sum(len(piece.bits or "") for piece in contents) // 8 + 2
        length = {"SOF": "Lf", "SOS": "Ls", "DQT": "Lq", "DHT": "Lh", "DRI": "Lr", "COM": "Lc"}
        length |= {"DNL": "Ld", "APP": "Lp"}
        segment = [number(length.get(name[:3], "length"), n_bytes, 16), *contents]
        return Part(name, self._marker(name) + segment, before)

    @staticmethod
    def _marker(name: str) -> list[Piece]:
        code = MARKERS[name] if name in MARKERS else int(name.removeprefix("FF"), 16)
        return [number(PREFIX, 0xFF, 8), number(MARKER, code, 8)]

    def _contents(self, name: str, body: Any) -> list[Piece]:
        if name.startswith("SOF"):
            return self._frame(body)
        match name:
            case "DQT":
                return [piece for table in _listed(body) for piece in self._quantization(table)]
            case "DHT":
                return [piece for table in _listed(body) for piece in self._huffman(table)]
            case "SOS":
                return self._scan_header(body)
            case "DRI":
                return [number("Ri", body, 16)]
            case "DNL":
                return [number("NL", body, 16)]
        text = body.encode("latin-1") if isinstance(body, str) else bytes(body)
        return [number("Cmi" if name == "COM" else "Api", value, 8) for value in text]

    def _frame(self, body: dict[str, Any]) -> list[Piece]:
        """T.81 B.2.2, Figure B.3."""
        self.components = body["components"]
        pieces = [number("P", body["P"], 8), number("Y", body["Y"], 16), number("X", body["X"], 16)]
        pieces.append(number("Nf", len(self.components), 8))
        for row in self.components:
            pieces += [number("Ci", row["Ci"], 8), number("Hi", row["Hi"], 4)]
            pieces += [number("Vi", row["Vi"], 4), number("Tqi", row["Tqi"], 8)]
        return pieces

    def _scan_header(self, body: dict[str, Any]) -> list[Piece]:
        """T.81 B.2.3, Figure B.4."""
        self.scan = body["components"]
        pieces = [number("Ns", len(self.scan), 8)]
        for row in self.scan:
            pieces += [number("Csj", row["Csj"], 8), number("Tdj", row["Tdj"], 4)]
            pieces.append(number("Taj", row["Taj"], 4))
        pieces += [number("Ss", body.get("Ss", 0), 8), number("Se", body.get("Se", 63), 8)]
        return [*pieces, number("Ah", body.get("Ah", 0), 4), number("Al", body.get("Al", 0), 4)]

    @staticmethod
    def _quantization(table: dict[str, Any]) -> list[Piece]:
        """T.81 B.2.4.1, Figure B.6."""
        values = table["Qk"] if isinstance(table["Qk"], list) else [table["Qk"]] * 64
        pieces = [number("Pq", table["Pq"], 4), number("Tq", table["Tq"], 4)]
        return pieces + [number("Qk", value, 16 if table["Pq"] else 8) for value in values]

    def _huffman(self, table: dict[str, Any]) -> list[Piece]:
        """T.81 B.2.4.2, Figure B.7. `Li` says other counts than the symbols have."""
        rows = {length: symbols_of(row) for length, row in table["codes"].items()}
        symbols = [symbol for length in sorted(rows) for symbol in rows[length]]
        given = {length: len(row) for length, row in rows.items()} | table.get("Li", {})
        counts = [given.get(length, 0) for length in range(1, 17)]
        self.tables[table["Tc"], table["Th"]] = codes_of(counts, symbols)
        pieces = [number("Tc", table["Tc"], 4), number("Th", table["Th"], 4)]
        pieces += [number("Li", count, 8) for count in counts]
        return pieces + [number("Vi,j", symbol, 8) for symbol in symbols]

    def _entropy_coded(self, lines: list[str]) -> list[Piece]:
        pieces: list[Piece] = []
        n_blocks = 0
        rows = self._scan_rows()
        for line in lines:
            times, x, block = line.partition(" x ")
            for _ in range(int(times) if x else 1):
                tokens = [*_repeated((block if x else line).split())]
                pieces += self._block(tokens, rows[n_blocks % len(rows)])
                n_blocks += 1
        if not pieces or pieces[-1].element != PADDING:
            pieces.append(Piece(PADDING, None))
        return pieces

    def _scan_rows(self) -> list[dict[str, int]]:
        """T.81 A.2.2, A.2.3: the component of each block of an MCU, as a row of the scan header."""
        if len(self.scan) == 1:
            return self.scan
        frame = {row["Ci"]: row for row in self.components}
        return [
            row
            for row in self.scan
            for _ in range(frame[row["Csj"]]["Hi"] * frame[row["Csj"]]["Vi"])
        ]

    def _block(self, tokens: list[str], row: dict[str, int]) -> list[Piece]:
        """T.81 F.1.2, G.1.2: symbols, each with what follows it."""
        dc_codes = self.tables.get((0, row["Tdj"]), {})
        ac_codes = self.tables.get((1, row["Taj"]), {})
        pieces: list[Piece] = []
        is_dc = False
        for token in tokens:
            if token == "DC":
                is_dc = True
            elif raw := re.fullmatch(r"(DC|AC|padding)=([01]+)", token):
                element = {"DC": DC_CODE, "AC": AC_CODE, "padding": PADDING}[raw[1]]
                codes = {"DC": dc_codes, "AC": ac_codes}.get(raw[1])
                pieces.append(Piece(element, raw[2], codes))
            elif refinement := re.fullmatch(r"(DC)?\+([01])", token):
                element = DC_REFINEMENT if refinement[1] else CORRECTION
                pieces.append(Piece(element, refinement[2]))
            else:
                text, _, value = token.partition(":")
                symbol = symbol_of(text)
                codes = dc_codes if is_dc else ac_codes
                pieces.append(Piece(DC_CODE if is_dc else AC_CODE, codes[symbol], codes))
                pieces += self._after(symbol, int(value or 0), is_dc)
                is_dc = False
        return pieces

    @staticmethod
    def _after(symbol: int, value: int, is_dc: bool) -> list[Piece]:
        run, size = symbol >> 4, symbol & 15
        if is_dc:
            return [Piece(DC_BITS, amplitude(value, symbol))] if symbol else []
        if size:
            return [Piece(AC_BITS, amplitude(value, size))]
        if 0 < run < 15:
            return [number(EOB_BITS, value, run)]
        return []


def assemble(parts: Sequence[Part]) -> Assembled:
    """The bytes of all parts; entropy-coded ones are padded and stuffed."""
    made = Assembled(b"", {}, {})
    data = bytearray()
    for part in parts:
        if part.is_entropy_coded:
            _assemble_entropy_coded(part, data, made)
            continue
        at = 8 * len(data)
        bits = ""
        for piece in part.pieces:
            assert piece.bits is not None
            made.places[id(piece)] = [*range(at + len(bits), at + len(bits) + len(piece.bits))]
            bits += piece.bits
        data += _to_bytes(bits)
    made.data = bytes(data)
    return made


def _to_bytes(bits: str) -> bytes:
    if len(bits) % 8:
        raise ValueError(f"{len(bits)} bits are no whole bytes")
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


def _assemble_entropy_coded(part: Part, data: bytearray, made: Assembled) -> None:
    """T.81 F.1.2.3: 1-bits fill the last byte, and a 00 follows each byte of FF."""
    bits = ""
    for piece in part.pieces:
        if piece.bits is None:
            piece.bits = "1" * (-len(bits) % 8)
        bits += piece.bits
    places: list[int] = []
    stuffed = made.stuffed[id(part)] = []
    for byte in _to_bytes(bits):
        places += range(8 * len(data), 8 * len(data) + 8)
        data.append(byte)
        if byte == 0xFF:
            stuffed.append(len(data))
            data += part.stuffing.get(len(stuffed), b"\0")
    at = 0
    for piece in part.pieces:
        n_bits = len(piece.bits or "")
        made.places[id(piece)] = places[at : at + n_bits]
        at += n_bits
