"""Which profile a stream of H.264 is in: figures are given for each by itself."""

from __future__ import annotations

from ..codecs.avc import nal_units

__all__ = ["PROFILES", "profile_of"]

_SPS = 7
PROFILES = {66: "baseline", 77: "main", 100: "high"}  # by profile_idc (A.2)


def profile_of(stream: bytes) -> str:
    """The name of a valid stream's profile, as its first SPS has it: profile_idc is its first byte
    behind the NAL unit's header (7.3.2.1.1)."""
    first = next(nal for _, nal in nal_units(stream) if nal[0] & 31 == _SPS)
    return PROFILES[first[1]]
