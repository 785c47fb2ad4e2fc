//! Sums of flow records, as books and judges compare them.

use serde_json::Value;

/// Records with their sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Flow records.
    pub records: u64,
    /// Their packets.
    pub packets: u64,
    /// Their octets.
    pub octets: u64,
}

impl std::ops::Add for Records {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            packets: self.packets + other.packets,
            octets: self.octets + other.octets,
        }
    }
}

impl std::iter::Sum for Records {
    fn sum<I: Iterator<Item = Self>>(rows: I) -> Self {
        rows.fold(Self::default(), |sum, row| sum + row)
    }
}

impl Records {
    /// Reads an object of the books; `None` where a number is not there.
    pub fn read(row: &Value) -> Option<Self> {
        let number = |name: &str| row.get(name).and_then(Value::as_u64);
        Some(Self { records: number("records")?, packets: number("packets")?, octets: number("octets")? })
    }

    /// Whether no number is larger than that of another row.
    pub const fn within(&self, other: &Self) -> bool {
        self.records <= other.records && self.packets <= other.packets && self.octets <= other.octets
    }
}
