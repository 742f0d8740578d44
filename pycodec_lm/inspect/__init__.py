"""What stands in a file, element by element: as an object, as text, as JSON, as a page."""

from __future__ import annotations

from .avc_model import AvcInspection, Bin, NalUnit, Picture, Slice, inspect_h264
from .field import Field
from .model import Component, Inspection, Scan, ScanComponent, Segment, inspect_jpeg

__all__ = [
    "AvcInspection",
    "Bin",
    "Component",
    "Field",
    "Inspection",
    "NalUnit",
    "Picture",
    "Scan",
    "ScanComponent",
    "Segment",
    "Slice",
    "inspect_h264",
    "inspect_jpeg",
]
