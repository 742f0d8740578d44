"""What the tables of H.264 9.2 hold, by the numbers that `AvcWriter` gives them."""

from __future__ import annotations

__all__ = ["CHROMA_DC_TABLE", "COEFF_TOKENS", "code_rows"]

# Rows of Table 9-5 in its order: (TrailingOnes, TotalCoeff).
COEFF_TOKENS = [(ones, total) for total in range(17) for ones in range(min(total, 3) + 1)]
CHROMA_DC_TABLE = 4  # column of Table 9-5
_CHROMA_DC = 16  # added to TotalCoeff where total_zeros is of chroma DC


def code_rows() -> dict[str, list[tuple[int, int]]]:
    """(table, row) of every code of Tables 9-5, 9-7 to 9-10 that is in scope, by element."""
    tokens = [
        (table, row)
        for table in range(5)
        for row, (_, total) in enumerate(COEFF_TOKENS)
        if table != CHROMA_DC_TABLE or total <= 4
    ]
    zeros = [(total, n) for total in range(1, 16) for n in range(17 - total)]
    zeros += [(_CHROMA_DC + total, n) for total in range(1, 4) for n in range(5 - total)]
    # Behind 7 zeros and more the runs go up to 14: 15 zeros are in front of the only coefficient.
    runs = [(left, run) for left in range(1, 8) for run in range(15 if left == 7 else left + 1)]
    return {"coeff_token": tokens, "total_zeros": zeros, "run_before": runs}
