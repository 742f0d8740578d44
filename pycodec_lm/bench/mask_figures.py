"""What `pycodec-lm bench mask` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .mask_bench import APPLY_SHAPE, MaskResults
from .mask_speed import MaskTimes
from .measure import Report, Spread

if TYPE_CHECKING:
    from .avc_large_memory import LargeMemory

__all__ = ["mask_report"]


def mask_report(results: MaskResults, command: str) -> Report:
    """Masks along files, what else generation calls, memory; other engines along JSON."""
    report = Report("Masks: microseconds a Python call", command)
    report.notes += [
        f"wall time of one thread, less the timer's floor of {results.floor_ns:.0f} ns; the bit of"
        " the true token was looked at in every step",
        "vocabularies are learned from, and caches warmed with, other files than are timed",
        "XGrammar and llguidance walk JSON documents with a schema: they cannot write binary files",
    ]
    _add_masks(report, results)
    _add_vocabularies(report, results)
    _add_peers(report, results)
    _add_batches(report, results)
    _add_forks(report, results)
    _add_applied(report, results)
    _add_memory(report, results)
    if results.large is not None:
        _add_large_memory(report, results.large)
    report.data = _plain(asdict(results))
    if results.progressive is not None:
        progressive: Any = report.data["progressive"]
        progressive["peak_bytes_a_block"] = results.progressive.peak_bytes_a_block
        progressive["end_bytes_a_block"] = results.progressive.end_bytes_a_block
    return report


def _plain(values: Mapping[Any, Any]) -> dict[str, Any]:
    """With texts for keys, as JSON has them."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return _plain(value)
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    return {str(name): plain(value) for name, value in values.items()}


def _us(*values: float) -> list[str]:
    return [f"{value:.2f}" for value in values]


def _p50_p90_p99(spread: Spread) -> list[str]:
    return _us(spread.median, spread.p90, spread.p99)


def _case(row: MaskTimes) -> list[str]:
    """The cells that say what a row of masks is of."""
    return [row.grammar, str(row.vocab_size), str(row.max_tokens or "none")]


def _add_masks(report: Report, results: MaskResults) -> None:
    columns = ["grammar", "V", "max_tokens"]
    report.add_table(
        "fill_next_token_bitmask and accept_token, along files not seen before",
        [*columns, "calls", "fill p50", "p90", "p99", "accept p50", "p99"],
        [
            [
                *_case(row),
                str(row.fill.n),
                *_p50_p90_p99(row.fill),
                *_us(row.accept.median, row.accept.p99),
            ]
            for row in results.masks
        ],
    )
    report.add_table(
        "The same fill with a torch tensor and inside C++ alone, medians along files walked before;"
        " with an empty cache, along the first file of all",
        [*columns, "torch p50", "C++ p50", "cold mean", "p50", "p99"],
        [
            [
                *_case(row),
                *(["-"] if row.tensor is None else _us(row.tensor.median)),
                *_us(row.inside.median, row.cold.mean, row.cold.median, row.cold.p99),
            ]
            for row in results.masks
        ],
    )
    report.add_table(
        "The cache of masks (CompiledGrammar.stats()): hits along files not seen before",
        [*columns, "files before", "hit rate", "masks kept", "MiB", "thrown out", "trie nodes"],
        [
            [
                *_case(row),
                str(row.n_warm_up),
                f"{100 * row.hit_rate:.2f} %",
                f"{row.stats['cache_entries']:,}",
                f"{row.stats['cache_bytes'] / 2**20:.1f}",
                f"{row.stats['cache_evictions']:,}",
                f"{row.stats['trie_nodes']:,}",
            ]
            for row in results.masks
        ],
    )


def _add_vocabularies(report: Report, results: MaskResults) -> None:
    report.add_table(
        "Vocabularies, and what of them occurs along the files timed",
        [
            "grammar",
            "V",
            "learned from",
            "in",
            "bytes a token",
            "longest",
            "along files",
            "tokens in use",
        ],
        [
            [
                row.grammar,
                str(row.vocab_size),
                f"{row.n_train} files",
                f"{row.train_seconds:.1f} s",
                f"{row.mean_bytes:.2f}",
                str(row.max_bytes),
                f"{row.bytes_a_token:.2f}",
                f"{100 * row.share_used:.1f} %",
            ]
            for row in results.vocabularies
        ],
    )


def _add_peers(report: Report, results: MaskResults) -> None:
    if not results.peers:
        return
    report.add_table(
        "Others: a fill along JSON documents",
        ["engine", "V", "tokens of", "calls", "fill p50", "p90", "p99", "true token forbidden"],
        [
            [
                f"{peer.name} {peer.version}",
                str(peer.vocab_size),
                peer.tokens,
                str(peer.fill.n),
                *_p50_p90_p99(peer.fill),
                str(peer.n_wrong),
            ]
            for peer in results.peers
        ],
    )


def _add_batches(report: Report, results: MaskResults) -> None:
    report.add_table(
        "One call for the masks of a batch; threads take turns over the steps",
        ["engine", "V", "rows", "threads", "calls", "p50", "p90", "p99"],
        [
            [
                row.name,
                str(row.vocab_size),
                str(row.n_rows),
                str(n_threads),
                str(spread.n),
                *_p50_p90_p99(spread),
            ]
            for row in results.batches
            for n_threads, spread in row.by_threads.items()
        ],
    )


def _add_forks(report: Report, results: MaskResults) -> None:
    counts = [*results.forks[0].by_tokens]
    report.add_table(
        "fork() after so many tokens: p50 / p99, and bytes that a fork adds",
        ["engine", *(f"{n:,}" for n in counts), *(f"bytes at {n:,}" for n in counts)],
        [
            [
                row.name,
                *(f"{row.by_tokens[n].median:.2f} / {row.by_tokens[n].p99:.2f}" for n in counts),
                *(
                    "-" if (size := row.bytes_by_tokens[n]) is None else f"{size:,.0f}"
                    for n in counts
                ),
            ]
            for row in results.forks
        ],
    )


def _add_applied(report: Report, results: MaskResults) -> None:
    report.add_table(
        f"apply_token_bitmask_inplace on a CPU, {APPLY_SHAPE[0]} x {APPLY_SHAPE[1]} float32:"
        " p50 / p99, by tokens allowed",
        ["engine", *(f"{100 * share:.0f} %" for share in results.applied[0].by_allowed)],
        [
            [
                row.name,
                *(
                    f"{spread.median:,.0f} / {spread.p99:,.0f}"
                    for spread in row.by_allowed.values()
                ),
            ]
            for row in results.applied
        ],
    )


def _add_memory(report: Report, results: MaskResults) -> None:
    if results.memory:
        report.add_table(
            "Memory of matchers, in bytes by mallinfo2: one given half a file as its prompt; what"
            " a fork adds after a file; what each token adds",
            ["grammar", "tokens", "state", "fork", "history a token"],
            [
                [
                    row.grammar,
                    str(row.n_tokens),
                    f"{row.state_bytes:,.0f}",
                    f"{row.fork_bytes:,.0f}",
                    f"{row.history_bytes_a_token:.1f}",
                ]
                for row in results.memory
            ],
        )
    if results.progressive is not None:
        found = results.progressive
        report.add_table(
            "Memory of progressive matchers without any history, in bytes: a picture, 16 of them as"
            " one, and the difference for each more block with an AC coefficient that is not 0",
            ["", "blocks", "with AC", "state at most", "at the end", "history a token"],
            [
                [
                    name,
                    f"{found.n_blocks[i]:,}",
                    f"{found.n_nonzero_blocks[i]:,}",
                    f"{found.peak_bytes[i]:,}",
                    f"{found.end_bytes[i]:,}",
                    f"{found.history_bytes_a_token[i]:.1f}",
                ]
                for i, name in enumerate(("one picture", "16 pictures"))
            ]
            + [
                [
                    "a block more",
                    "",
                    "",
                    f"{found.peak_bytes_a_block:.1f}",
                    f"{found.end_bytes_a_block:.1f}",
                    "",
                ]
            ],
        )


def _add_large_memory(report: Report, large: LargeMemory) -> None:
    report.add_table(
        "Memory of a matcher without any history, in bytes by mallinfo2, in the middle of a B"
        f" picture of {large.n_mbs:,} macroblocks, High profile, CABAC: its state; beside it the"
        " motion of each reference picture, which copies share; what a fork adds, and what it adds"
        " once it has gone on",
        ["state", "motion of a picture", "a macroblock", "fork", "gone on"],
        [
            [
                f"{large.state_bytes:,}",
                f"{large.motion_bytes:,}",
                f"{large.motion_bytes / large.n_mbs:.1f}",
                f"{large.fork_bytes:,.0f}",
                f"{large.written_bytes:,.0f}",
            ]
        ],
    )
