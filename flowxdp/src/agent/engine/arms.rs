//! The arms of a turn, numbered by their urgency.

/// Work of one kind. Each turn serves all arms in the order of their numbers, so that none starves another:
/// the ring buffer, which a flood fills faster than it drains, gets one share a turn like the others.
///
/// Signals come first of all: they are taken before a turn begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Arm {
    /// Packets that found no slot leave the ring buffer, 4,096 at most in a live turn.
    Ring = 1,
    /// First packets of flows are inspected for names, before their records are made.
    Inspect = 2,
    /// Flows that are due retire.
    Sweep = 3,
    /// A changed configuration, between two sweeps.
    Reload = 4,
    /// Interfaces that came, changed or went.
    Interfaces = 5,
    /// Messages that the pace lets go.
    Export = 6,
    /// Collectors that a capture's clock or a flush waits for.
    Patience = 7,
    /// Questions at the control socket.
    Control = 8,
}

impl Arm {
    /// All of them, most urgent first.
    pub const ALL: [Self; 8] = [
        Self::Ring,
        Self::Inspect,
        Self::Sweep,
        Self::Reload,
        Self::Interfaces,
        Self::Export,
        Self::Patience,
        Self::Control,
    ];
}

#[cfg(test)]
mod tests {
    use super::Arm;

    #[test]
    fn arms_are_served_in_the_order_of_their_numbers() {
        assert!(Arm::ALL.is_sorted_by_key(|arm| *arm as u8));
        assert_eq!(Arm::ALL.map(|arm| arm as usize), [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
