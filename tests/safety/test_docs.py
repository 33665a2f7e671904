"""The document says what the code does."""

from tests.safety.table import DOCUMENT, END, START, table


def test_the_table_of_causes_is_the_code_s_own() -> None:
    assert DOCUMENT.read_text().split(START)[1].split(END)[0] == table()
