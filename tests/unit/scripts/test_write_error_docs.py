"""The page of errors is what the table says."""

import write_error_docs


def test_the_page_of_errors_is_up_to_date() -> None:
    assert write_error_docs.PAGE.read_text() == write_error_docs.page()
