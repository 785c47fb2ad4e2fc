//! The manual's page of elements is the one that the table gives.

#[test]
fn the_page_of_elements_is_up_to_date() {
    crate::compare_with_file("../manual/elements.md", &flowxdp_core::elements::manual::elements());
}

#[test]
fn the_page_of_the_books_is_the_tables() {
    crate::compare_with_file("../manual/books.md", &flowxdp_core::elements::manual::books());
}
