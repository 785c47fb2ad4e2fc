//! Template sets: ids, scopes, field lengths, padding.

use anyhow::{Context, Result, bail, ensure};

use super::Protocol;
use super::octets::Octets;

/// The length that stands for "variable" in IPFIX.
pub(super) const VARIABLE: u16 = 0xffff;

/// What a template says of its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// Whether it describes options.
    pub(super) options: bool,
    /// Element (with its enterprise) and length of each field.
    pub(super) fields: Vec<(u32, u16, u16)>,
}

impl Template {
    /// The length of the shortest record.
    pub(super) fn shortest(&self) -> usize {
        self.fields
            .iter()
            .map(|(_, _, length)| if *length == VARIABLE { 1 } else { usize::from(*length) })
            .sum()
    }
}

/// Reads one template set; `each` is called with 1 for every template record.
pub(super) fn read(
    protocol: Protocol,
    options: bool,
    body: &[u8],
    mut each: impl FnMut(u64),
) -> Result<Vec<(u16, Template)>> {
    ensure!(!body.is_empty(), "the set is empty");
    let mut octets = Octets::new(body);
    let mut templates = Vec::new();
    while octets.len() >= 4 && octets.rest().iter().any(|octet| *octet != 0) {
        let id = octets.short().context("no id")?;
        let template = one(protocol, options, id, &mut octets).with_context(|| format!("template {id}"))?;
        templates.push((id, template));
        each(1);
    }
    ensure!(!templates.is_empty(), "a set without a template");
    let padding = octets.rest();
    ensure!(padding.iter().all(|octet| *octet == 0), "padding is not zero: {padding:02x?}");
    let allowed = if protocol == Protocol::V9 { 3 } else { 0 };
    ensure!(padding.len() <= allowed, "{} octets of padding", padding.len());
    Ok(templates)
}

fn one(protocol: Protocol, options: bool, id: u16, octets: &mut Octets<'_>) -> Result<Template> {
    const CUT: &str = "passes the end of its set";
    let fields = octets.short().context(CUT)?;
    if fields == 0 && protocol == Protocol::Ipfix {
        bail!("a withdrawal over UDP");
    }
    ensure!(id >= 256, "the id is below 256");
    let fields = match (options, protocol) {
        (false, _) => fields,
        (true, Protocol::Ipfix) => {
            let scope = octets.short().context(CUT)?;
            ensure!((1..=fields).contains(&scope), "{scope} scope fields of {fields}");
            fields
        }
        // NetFlow v9 gives the lengths of the two lists in octets.
        (true, Protocol::V9) => {
            let (scope, rest) = (fields, octets.short().context(CUT)?);
            ensure!(scope % 4 == 0 && rest % 4 == 0, "lengths {scope} and {rest} are not multiples of 4");
            ensure!(scope > 0, "no scope");
            scope.checked_add(rest).context("lengths")? / 4
        }
    };
    ensure!(fields > 0, "no fields");
    let mut list = Vec::new();
    for _ in 0..fields {
        let (element, length) = (octets.short().context(CUT)?, octets.short().context(CUT)?);
        let foreign = protocol == Protocol::Ipfix && element & 0x8000 != 0;
        let enterprise = if foreign { octets.word().context(CUT)? } else { 0 };
        ensure!(length != 0, "element {element} has length 0");
        ensure!(
            length != VARIABLE || protocol == Protocol::Ipfix,
            "element {element} has a variable length in v9"
        );
        list.push((enterprise, element, length));
    }
    Ok(Template { options, fields: list })
}
