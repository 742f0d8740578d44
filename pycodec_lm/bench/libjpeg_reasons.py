"""Why libjpeg-turbo complains: for a reason of T.81, or for one of its own."""

from __future__ import annotations

__all__ = ["OWN_REASONS", "T81", "reason_of"]

T81 = "T.81"

# What libjpeg-turbo says (src/jerror.h) where T.81 allows the file, or leaves the matter to others.
# Messages are told apart by a part that stands in each. Anything else is a reason of T.81.
OWN_REASONS: tuple[tuple[str, str], ...] = (
    ("unknown JFIF revision number", "contents of APPn"),
    ("Unknown Adobe color transform code", "contents of APPn"),
    ("DNL not supported", "DNL"),
    ("Maximum supported image dimension", "limit of size"),
    ("JPEG datastream contains no image", "tables only"),
    ("Unsupported marker type", "unsupported marker"),
    ("Unsupported JPEG process", "unsupported process"),
    ("Unsupported JPEG data precision", "unsupported precision"),
    ("Fractional sampling not implemented", "fractional sampling"),
    ("Unsupported color conversion request", "colour conversion"),
    ("not done after", "no answer in time"),
)


def reason_of(message: str) -> str:
    """T81, or which of the reasons of libjpeg-turbo's own.

    Args:
        message: what `djpeg -strict` wrote.
    """
    for part, reason in OWN_REASONS:
        if part in message:
            return reason
    return T81
