//! Template sets: ids, scopes, field lengths, padding.

use anyhow::{Context, Result, ensure};

use super::Protocol;
use super::octets::Octets;

/// The length that stands for "variable" in IPFIX.
pub(super) const VARIABLE: u16 = 0xffff;

/// The fields of a template's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    /// Whether it describes options.
    pub(super) options: bool,
    /// Number of leading fields that are scope.
    pub(super) scope: u16,
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

/// Reads one template set. `None` stands for a withdrawal.
pub(super) fn read(protocol: Protocol, options: bool, body: &[u8]) -> Result<Vec<(u16, Option<Template>)>> {
    ensure!(!body.is_empty(), "the set is empty");
    let mut octets = Octets::new(body);
    let mut templates = Vec::new();
    while octets.len() >= 4 && octets.rest().iter().any(|octet| *octet != 0) {
        let id = octets.short().context("no id")?;
        let template = one(protocol, options, id, &mut octets).with_context(|| format!("template {id}"))?;
        templates.push((id, template));
    }
    ensure!(!templates.is_empty(), "a set without a template");
    let withdrawn = templates.iter().filter(|(_, template)| template.is_none()).count();
    ensure!(withdrawn == 0 || withdrawn == templates.len(), "withdrawals and templates in one set");
    let padding = octets.rest();
    ensure!(padding.iter().all(|octet| *octet == 0), "padding is not zero: {padding:02x?}");
    let allowed = if protocol == Protocol::V9 { 3 } else { 0 };
    ensure!(padding.len() <= allowed, "{} octets of padding", padding.len());
    Ok(templates)
}

fn one(protocol: Protocol, options: bool, id: u16, octets: &mut Octets<'_>) -> Result<Option<Template>> {
    const CUT: &str = "passes the end of its set";
    let fields = octets.short().context(CUT)?;
    if fields == 0 && protocol == Protocol::Ipfix {
        return Ok(None);
    }
    ensure!(id >= 256, "the id is below 256");
    let mut scopes = 0;
    let fields = match (options, protocol) {
        (false, _) => fields,
        (true, Protocol::Ipfix) => {
            let scope = octets.short().context(CUT)?;
            ensure!((1..=fields).contains(&scope), "{scope} scope fields of {fields}");
            scopes = scope;
            fields
        }
        // NetFlow v9 gives the lengths of the two lists in octets.
        (true, Protocol::V9) => {
            let (scope, rest) = (fields, octets.short().context(CUT)?);
            ensure!(scope % 4 == 0 && rest % 4 == 0, "lengths {scope} and {rest} are not multiples of 4");
            ensure!(scope > 0, "no scope");
            scopes = scope / 4;
            scope.checked_add(rest).context("lengths")? / 4
        }
    };
    ensure!(fields > 0, "no fields");
    let mut list = Vec::new();
    for number in 0..fields {
        let (element, length) = (octets.short().context(CUT)?, octets.short().context(CUT)?);
        let foreign = protocol == Protocol::Ipfix && element & 0x8000 != 0;
        let enterprise = if foreign { octets.word().context(CUT)? } else { 0 };
        ensure!(length != 0, "element {element} has length 0");
        ensure!(
            length != VARIABLE || protocol == Protocol::Ipfix,
            "element {element} has a variable length in v9"
        );
        // Its scopes are of five kinds, which are no elements (RFC 3954 section 6.1).
        let kind = protocol == Protocol::Ipfix || number >= scopes || (1..=5).contains(&element);
        ensure!(kind, "scope {element} is none of v9's");
        list.push((enterprise, element, length));
    }
    Ok(Some(Template { options, scope: scopes, fields: list }))
}
