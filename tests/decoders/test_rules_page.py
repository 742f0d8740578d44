"""docs/rules-jpeg.md says what the vectors say, and what the decoders do with them."""

import pytest
from vectors.decoders import DECODERS, ask_all
from vectors.rules_page import PAGE, render, versions_line
from vectors.vectors import all_vectors

N_COLUMNS = len(DECODERS)
RENEW = "run python -m tests.vectors.rules_page"


def _without_answers(page: str) -> list[str]:
    """The rows of vectors, without the columns of decoders."""
    rows = [line for line in page[page.index("\n## ") :].splitlines() if line]
    return [" | ".join(row.split(" | ")[:-N_COLUMNS]) if row[0] == "|" else row for row in rows]


def test_the_page_has_every_vector_with_its_code_and_place() -> None:
    vectors = all_vectors()
    rows = _without_answers(PAGE.read_text())
    fresh = render(vectors, [("ok",) * N_COLUMNS for _ in vectors], "")
    assert rows == _without_answers(fresh), RENEW
    text = "\n".join(rows)
    assert [vector.name for vector in vectors if vector.name not in text] == []


@pytest.mark.decoders
def test_decoders_do_what_the_page_says(decoders: list[str]) -> None:
    page = PAGE.read_text()
    versions = versions_line()
    if versions not in page:
        pytest.skip(f"the page is of other decoders than {versions}")
    vectors = all_vectors()
    answers = ask_all([vector.data for vector in vectors])
    assert page == render(vectors, answers, versions), RENEW
