//! What the demo shows at its end: the flows, the books, and the kernel's counters beside them.

use anyhow::{Context, Result};

use super::books::{Books, Count};
use super::gateway::Left;
use super::network::INTERFACES;
use crate::netns::Received;

/// Octets of an Ethernet header.
const HEADER: u64 = 14;

/// Everything that was found out.
pub(crate) struct Findings {
    /// The books while traffic ran.
    pub(crate) during: Books,
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
    println!("{}", ended.table.stderr.trim_end());
    println!("\nThe books, shown by `flowxdp status` before the agent was stopped:\n{}", text.trim_end());

    println!("\nThe agent's log, with its last books:\n{}", ended.agent.stderr.trim_end());

    println!("\nDo the books balance? seen = exported + queued + in table + ignored + lost");
    let mut agree = balance("while traffic ran", during);
    agree &= balance("after it", books);
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

/// Shows whether what was seen is what became of it.
fn balance(when: &str, books: &Books) -> bool {
    println!("  {when}:");
    println!("    seen                   {}", books.total.seen);
    println!("    exported               {}", books.exported);
    println!("    queued                 {}", books.queued);
    println!("    in table               {}", books.in_table);
    println!("    ignored                {}", books.total.ignored);
    println!("    lost                   {}", books.total.lost);
    let balances = books.total.seen == books.explained() && books.total.seen.packets > 0;
    println!("    sum of the five        {}   {}", books.explained(), verdict(balances));
    balances
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

fn verdict(agree: bool) -> &'static str {
    if agree { "agree" } else { "DIFFER" }
}
