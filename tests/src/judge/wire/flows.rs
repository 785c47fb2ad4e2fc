//! The few elements that tell flow records apart and add them up.

use std::net::IpAddr;

use super::octets::Octets;
use super::template::{Template, VARIABLE};
use crate::flows::Tuple;
use crate::judge::sessions::{Arrived, Identity};

/// IANA numbers of elements.
const OCTETS: u16 = 1;
const PACKETS: u16 = 2;
const PROTOCOL: u16 = 4;
const SOURCE_PORT: u16 = 7;
const DESTINATION_PORT: u16 = 11;
const SOURCE: [u16; 2] = [8, 27];
const DESTINATION: [u16; 2] = [12, 28];
const START: u16 = 152;
const END: u16 = 153;

/// The flow records of a data set whose lengths were judged already.
pub(super) fn read(template: &Template, body: &[u8]) -> Vec<Arrived> {
    let mut octets = Octets::new(body);
    let mut flows = Vec::new();
    while octets.len() >= template.shortest() {
        match record(template, &mut octets) {
            Some(arrived) => flows.push(arrived),
            None => break,
        }
    }
    flows
}

/// One record; none if it is cut or is no flow.
fn record(template: &Template, octets: &mut Octets<'_>) -> Option<Arrived> {
    let (mut numbers, mut source, mut destination) = ([0_u64; 154], None, None);
    for (enterprise, element, length) in &template.fields {
        if *length == VARIABLE {
            return None;
        }
        let value = octets.take(usize::from(*length))?;
        if *enterprise != 0 {
            continue;
        }
        if SOURCE.contains(element) {
            source = address(value);
        } else if DESTINATION.contains(element) {
            destination = address(value);
        } else if let Some(number) = numbers.get_mut(usize::from(*element)) {
            *number = value.iter().fold(0, |number, octet| number << 8 | u64::from(*octet));
        }
    }
    let number = |element: u16| numbers.get(usize::from(element)).copied().unwrap_or_default();
    let tuple = Tuple {
        src: source?,
        dst: destination?,
        proto: u8::try_from(number(PROTOCOL)).ok()?,
        sport: u16::try_from(number(SOURCE_PORT)).ok()?,
        dport: u16::try_from(number(DESTINATION_PORT)).ok()?,
    };
    let identity = Identity { tuple, times: (number(START), number(END)) };
    Some(Arrived { identity, counts: (number(PACKETS), number(OCTETS)) })
}

fn address(value: &[u8]) -> Option<IpAddr> {
    match (<[u8; 4]>::try_from(value), <[u8; 16]>::try_from(value)) {
        (Ok(v4), _) => Some(v4.into()),
        (_, Ok(v6)) => Some(v6.into()),
        _ => None,
    }
}
