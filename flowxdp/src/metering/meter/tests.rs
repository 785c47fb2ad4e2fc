//! An interface's counters in the books.

use super::*;

/// Another number for each reason, so that none is left out or counted under another's name.
#[test]
fn each_reason_is_in_the_totals_and_in_its_interface() {
    let total = |number: usize| Total { packets: 1 << number, octets: 100 << number };
    let ignored = std::array::from_fn(total);
    let lost = std::array::from_fn(|number| total(number + 8));
    let row = counters::Row {
        seen: total(12),
        overflow: total(13),
        ignored,
        lost,
        unwrapped: total(14),
        forgotten: total(15),
    };
    let mut books = Books::default();
    interface(&mut books, "eth0", &row);
    interface(&mut books, "eth1", &row);
    let twice = |total: Total| Total { packets: 2 * total.packets, octets: 2 * total.octets };
    assert_eq!(books.ignored.len(), reason::IGNORED.len());
    for (reason, total) in reason::IGNORED.iter().zip(ignored) {
        assert_eq!(books.ignored.get(reason.name), Some(&twice(total)), "{}", reason.name);
    }
    for (reason, total) in reason::LOST.iter().zip(lost) {
        assert_eq!(books.lost.get(reason.name), Some(&twice(total)), "{}", reason.name);
    }
    let part = books.interfaces.get("eth1").unwrap();
    assert_eq!(part.seen, total(12));
    assert_eq!((part.unwrapped, part.forgotten_fragments), (total(14), total(15)));
    assert_eq!(part.ignored.packets, (1 << reason::IGNORED.len()) - 1);
    assert_eq!(part.lost.packets, ((1 << reason::LOST.len()) - 1) << 8);
    for (reason, total) in reason::IGNORED.iter().zip(ignored) {
        assert_eq!(part.ignored_by_reason.get(reason.name), Some(&total), "{}", reason.name);
    }
}
