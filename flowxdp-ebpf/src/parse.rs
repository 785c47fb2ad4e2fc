//! One file for each kind of header, in the order in which a packet has them.

pub mod ethernet;
pub mod ipv4;
pub mod ipv6;
pub mod mpls;
pub mod pppoe;
pub mod transport;
pub mod tunnel;
pub mod vlan;
