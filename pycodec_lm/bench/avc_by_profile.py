"""Which profile a stream of H.264 is in: figures are given for each by itself."""

from __future__ import annotations

from collections.abc import Iterable

from .._core import check_h264
from ..avc_profiles import PROFILES
from ..codecs.avc import nal_units

__all__ = ["by_profile", "profile_of"]

_SPS = 7


def profile_of(stream: bytes) -> str:
    """The name of a valid stream's profile, as its first SPS has it: profile_idc is its first byte
    behind the NAL unit's header (7.3.2.1.1)."""
    first = next(nal for _, nal in nal_units(stream) if nal[0] & 31 == _SPS)
    return PROFILES[first[1]]


def by_profile(streams: Iterable[bytes]) -> dict[str, list[bytes]]:
    """The streams that the check accepts, by the names of PROFILES; profiles without any are left
    out."""
    groups: dict[str, list[bytes]] = {name: [] for name in PROFILES.values()}
    for stream in streams:
        if check_h264(stream)[0]:
            groups[profile_of(stream)].append(stream)
    return {name: group for name, group in groups.items() if group}
