"""What stands in a file, element by element: as an object, as text, as JSON, as a page."""

from __future__ import annotations

from .model import Component, Field, Inspection, Scan, ScanComponent, Segment, inspect_jpeg

__all__ = ["Component", "Field", "Inspection", "Scan", "ScanComponent", "Segment", "inspect_jpeg"]
