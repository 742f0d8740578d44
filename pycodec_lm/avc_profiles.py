"""The profiles of H.264 that streams may be made in."""

from __future__ import annotations

__all__ = ["PROFILES"]

PROFILES = {66: "baseline", 77: "main", 100: "high"}  # by profile_idc (A.2)
