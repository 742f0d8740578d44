"""docs/rules-*.md say what the vectors say, and what the decoders do with them."""

import pytest
from vectors.page import COMMAND, AnyPage
from vectors.rules_page import PAGES

RENEW = f"run {COMMAND}"
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.name)


def _without_answers(text: str, n_columns: int) -> list[str]:
    """The rows of vectors, without the columns of decoders."""
    rows = [line for line in text[text.index("\n## ") :].splitlines() if line]
    return [" | ".join(row.split(" | ")[:-n_columns]) if row[0] == "|" else row for row in rows]


@each_page
def test_the_page_has_every_vector_with_its_code_and_place(page: AnyPage) -> None:
    vectors = page.vectors()
    n_columns = len(page.decoders)
    rows = _without_answers(page.path.read_text(), n_columns)
    fresh = page.render([("ok",) * n_columns for _ in vectors], "")
    assert rows == _without_answers(fresh, n_columns), RENEW
    text = "\n".join(rows)
    assert [vector.name for vector in vectors if vector.name not in text] == []


@pytest.mark.decoders
@each_page
def test_decoders_do_what_the_page_says(page: AnyPage, decoders: list[str]) -> None:
    text = page.path.read_text()
    versions = page.versions()
    if versions not in text:
        pytest.skip(f"the page is of other decoders than {versions}")
    assert text == page.render(page.ask(page.vectors()), versions), RENEW
