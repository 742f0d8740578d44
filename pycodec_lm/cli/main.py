"""The entry point of `pycodec-lm`: finds the command, runs it, turns errors into one line."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, cast

from ..errors import CodecLMError, UsageError

__all__ = ["main"]

PROGRAM = "pycodec-lm"

# Name -> what `--help` says. The module behind it loads only when it is named: some need torch.
COMMANDS = {
    "check": "say whether files are valid, and where they break",
    "inspect": "show what stands in a file, element by element",
    "complete": "end a truncated file so that it is valid",
    "tokenizer": "train a byte-level BPE tokenizer, or look into one",
    "prepare": "turn a folder of pictures into a dataset of tokens",
    "train": "train a model on a dataset",
    "generate": "let a model write files",
    "bench": "measure, with the correctness checked first",
}

EXIT_NO = 1
EXIT_MISUSE = 2
# What shells report for a program that ended by SIGINT and by SIGPIPE.
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaints take one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_MISUSE, f"{self.prog}: error: {message} (see `{self.prog} --help`)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: the arguments; those of the process where None.

    Returns:
        0 fine, 1 the answer is no, 2 misuse, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`... | head`). Python would complain once more at exit, when it
        # flushes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except (CodecLMError, OSError, MemoryError, ModuleNotFoundError) as error:
        command = f" {arguments[0]}" if arguments and arguments[0] in COMMANDS else ""
        print(f"{PROGRAM}{command}: error: {_one_line(error)}", file=sys.stderr)
        is_no = isinstance(error, CodecLMError) and not isinstance(error, UsageError)
        return EXIT_NO if is_no else EXIT_MISUSE


def _run(arguments: list[str]) -> int:
    parser = _Parser(
        prog=PROGRAM,
        description="Language models that write pictures as the bytes of their files.",
        epilog=_command_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    if not arguments or arguments[0].startswith("-"):
        options = parser.parse_args(arguments)
        if options.version:
            from .. import __version__

            print(f"{PROGRAM} {__version__}")
            return 0
        parser.print_help()
        return EXIT_MISUSE

    command = arguments[0]
    if command not in COMMANDS:
        parser.error(f"there is no command '{command}', only {', '.join(COMMANDS)}")
    subparsers = parser.add_subparsers(metavar="COMMAND")
    importlib.import_module(f".{command}", __package__).add_parser(subparsers)
    options = parser.parse_args(arguments)
    return cast(Callable[[argparse.Namespace], int], options.func)(options)


def _command_table() -> str:
    width = max(map(len, COMMANDS))
    rows = [f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "commands:",
            *rows,
            "",
            f"`{PROGRAM} COMMAND --help` says more about one of them.",
            "Exit code: 0 fine, 1 the answer is no, 2 misuse.",
        ]
    )


def _one_line(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        name = (error.name or "").partition(".")[0]
        if name in ("", "pycodec_lm"):
            raise error  # a broken package, not a missing one: the traceback is needed
        return f"this command needs the package '{name}': run `python -m pip install {name}`"
    if isinstance(error, OSError) and error.strerror is not None:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"out of memory{f' ({text})' if text else ''}"
    return text or type(error).__name__
