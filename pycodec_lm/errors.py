"""What the package raises.

Python's own exceptions pass through where they say enough (`FileNotFoundError`); everything else is
a `CodecLMError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .check import Verdict

__all__ = ["CodecLMError", "InvalidFileError", "UsageError"]


class CodecLMError(Exception):
    """Base of all errors of this package."""


class UsageError(CodecLMError, ValueError):
    """The call cannot mean anything: the caller has to change it."""


class InvalidFileError(CodecLMError):
    """A file or stream is not valid; `verdict` says where and why."""

    def __init__(self, verdict: Verdict, name: str = "") -> None:
        super().__init__(f"{name}: {verdict.message}" if name else verdict.message)
        self.verdict = verdict
