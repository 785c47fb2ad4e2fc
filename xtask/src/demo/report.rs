//! The demo's report: the flows, the books, and the kernel's counters beside them.

use anyhow::{Context, Result};

use super::books::{Books, Count};
use super::gateway::Left;
use super::network::INTERFACES;
use crate::netns::Received;

/// Octets of an Ethernet header.
const HEADER: u64 = 14;

/// All results of the demo.
pub(crate) struct Findings {
    /// The books at many moments while traffic ran.
    pub(crate) during: Vec<Books>,
    /// The books when no more traffic could come, and the kernel's counters at that time.
    pub(crate) books: Books,
    pub(crate) received: [Received; 2],
    /// The same books as `flowxdp status` shows them.
    pub(crate) text: String,
    pub(crate) ended: Left,
}

/// Shows the findings; whether all of them agree.
pub(crate) fn show(findings: &Findings) -> Result<bool> {
    let Findings { during, books, received, text, ended } = findings;
    println!(
        "\nThe flows, exported as IPFIX and shown by `flowxdp collect`:\n{}",
        ended.table.stdout.trim_end()
    );
    println!("{}", totals(&ended.table.stderr));
    println!("\nThe books, shown by `flowxdp status` when the traffic was over:\n{}", text.trim_end());
    println!("\nThe agent's log, with its last books:\n{}", ended.agent.stderr.trim_end());

    println!("\nDid the books balance? seen = exported + queued + in table + ignored + lost");
    let unbalanced = during.iter().find(|books| !balances(books));
    let example =
        unbalanced.or(during.get(during.len() / 2)).context("nobody asked for the books in time")?;
    println!(
        "  asked {} times while traffic ran, {}; one of them:",
        during.len(),
        balanced(unbalanced.is_none())
    );
    equation(example);
    println!("  asked when it was over, {}:", balanced(balances(books)));
    equation(books);
    let mut agree = unbalanced.is_none() && balances(books);
    println!("\nDo they agree with the interfaces' own counters?");
    for (name, received) in INTERFACES.into_iter().zip(received) {
        agree &= interface(name, books, *received)?;
    }
    println!("\nDid it all arrive? The second collector was sent the same as NetFlow v9, to the last flush");
    let (flows, arrived) = Count::of_flows(&ended.lines.stdout)?;
    let metered = books.total.metered() - books.total.lost;
    println!("  metered                  {metered}");
    println!("  in {flows:>4} records received {arrived}   {}", verdict(metered == arrived));
    agree &= metered == arrived && flows > 0;
    println!();
    if agree {
        println!("The books balance, and agree with the kernel's counters and with what was received.");
    }
    Ok(agree)
}

/// The lines of a collector's stderr that are no log.
fn totals(stderr: &str) -> String {
    stderr.lines().filter(|line| !line.starts_with('[')).collect::<Vec<_>>().join("\n")
}

/// Whether the packets seen equal the sum of the terms.
fn balances(books: &Books) -> bool {
    books.total.seen == books.explained()
}

/// Shows one moment's books as an equation.
fn equation(books: &Books) {
    let terms = [books.exported, books.queued, books.in_table, books.total.ignored, books.total.lost];
    let packets = terms.map(|term| term.packets.to_string()).join(" + ");
    let octets = terms.map(|term| term.octets.to_string()).join(" + ");
    let sign = |equal| if equal { "=" } else { "≠" };
    let (seen, sum) = (books.total.seen, books.explained());
    println!("    packets: {} {} {packets}", seen.packets, sign(seen.packets == sum.packets));
    println!("    octets:  {} {} {octets}", seen.octets, sign(seen.octets == sum.octets));
}

/// Shows one interface beside the kernel's counters of it.
fn interface(name: &str, books: &Books, received: Received) -> Result<bool> {
    let account = books.interfaces.get(name).with_context(|| format!("the books do not know {name}"))?;
    let (seen, metered) = (account.seen, account.metered());
    // The books count a metered packet's IP octets and an ignored packet's whole frame.
    let frames = seen.octets + HEADER * metered.packets;
    // A driver may count octets with the Ethernet header, or after it was taken off.
    let without = received.octets + HEADER * received.packets;
    let packets_agree = seen.packets == received.packets;
    println!(
        "  {name}: {} packets seen, rx_packets {}   {}",
        seen.packets,
        received.packets,
        verdict(packets_agree)
    );
    println!(
        "    {} octets seen + {HEADER} for each of {} metered packets = {frames} octets of Ethernet",
        seen.octets, metered.packets
    );
    let octets_agree = frames == received.octets || frames == without;
    if frames == without {
        println!(
            "    rx_bytes {} + {HEADER} for each of {} packets, which this driver leaves out = {without}   {}",
            received.octets,
            received.packets,
            verdict(octets_agree)
        );
    } else {
        println!("    rx_bytes {}   {}", received.octets, verdict(octets_agree));
    }
    Ok(packets_agree && octets_agree)
}

fn balanced(balances: bool) -> &'static str {
    if balances { "balanced" } else { "they DIFFER" }
}

fn verdict(agree: bool) -> &'static str {
    if agree { "agree" } else { "DIFFER" }
}
