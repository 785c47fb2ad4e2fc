//! The strict reader on options, and on streams: hand-made messages again, each with a single fault.

use anyhow::{Result, ensure};
use flowxdp_tests::handmade::{Message, TEMPLATE, recording, right};
use flowxdp_tests::judge::wire;
use flowxdp_tests::pcap::Datagram;
use flowxdp_tests::stream;

/// Options template 257: one scope field of 4 octets, exportedMessageTotalCount.
const OPTIONS: [u8; 14] = [1, 1, 0, 2, 0, 1, 0, 143, 0, 4, 0, 41, 0, 8];
/// The same in v9: 4 octets of scope (System), 4 of the rest.
const OPTIONS_V9: [u8; 14] = [1, 1, 0, 4, 0, 4, 0, 1, 0, 4, 0, 41, 0, 8];
/// A record of either.
const RECORD: [u8; 12] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9];

fn complains(result: Result<wire::Seen>, words: &str) -> Result<()> {
    match result {
        Ok(seen) => anyhow::bail!("{words:?} was overlooked; seen: {seen:?}"),
        Err(error) => ensure!(format!("{error:#}").contains(words), "{words:?} is not said: {error:#}"),
    }
    Ok(())
}

fn datagrams(messages: &[Message]) -> Result<wire::Seen> {
    wire::judge(&recording(messages, 4739))
}

fn session(messages: &[Message]) -> Result<wire::Seen> {
    wire::judge_stream(&messages.iter().flat_map(Message::build).collect::<Vec<_>>())
}

#[test]
fn options_are_counted_apart_from_flows_and_in_their_own_domain() -> Result<()> {
    let [one, two] = right(10);
    let process = |sequence| Message { domain: 0, ..Message::new(10, sequence) };
    let first = process(0).set(3, &OPTIONS).set(257, &[RECORD, RECORD].concat());
    let seen = datagrams(&[first.clone(), one.clone(), process(2).set(257, &RECORD), two.clone()])?;
    assert_eq!((seen.data_records, seen.options_records, seen.templates), (9, 3, 2));
    complains(datagrams(&[first, one, process(0).set(257, &RECORD)]), "sequence 0, expected 2")?;
    // Flows and options of v9 count together in a message, and messages in the sequence.
    let v9 =
        Message { count: 2, domain: 0, ..Message::new(9, 0) }.set(1, &[&OPTIONS_V9[..], &[0; 2]].concat());
    assert_eq!(datagrams(&[v9.clone().set(257, &RECORD)])?.options_records, 1);
    complains(datagrams(&[v9.set(257, &[RECORD, RECORD].concat())]), "the header counts 2")
}

#[test]
fn options_without_their_template() -> Result<()> {
    let process = Message { domain: 0, ..Message::new(10, 0) };
    complains(datagrams(&[process.clone().set(257, &RECORD)]), "data before its template")?;
    let other = Message { domain: 1, ..process.clone() }.set(257, &RECORD);
    complains(datagrams(&[process.set(3, &OPTIONS), other]), "data before its template")
}

#[test]
fn scopes_of_v9_are_of_five_kinds() -> Result<()> {
    let mut foreign = OPTIONS_V9;
    foreign[7] = 143;
    let padded = |body: &[u8]| [body, &[0; 2]].concat();
    let message = Message { count: 1, ..Message::new(9, 0) };
    datagrams(&[message.clone().set(1, &padded(&OPTIONS_V9))])?;
    complains(datagrams(&[message.set(1, &padded(&foreign))]), "scope 143 is none of v9's")
}

#[test]
fn another_number_of_scope_fields_is_another_template() -> Result<()> {
    let mut both = OPTIONS;
    both[5] = 2;
    let message = Message::new(10, 0).set(3, &OPTIONS);
    complains(datagrams(&[message.clone(), Message::new(10, 0).set(3, &both)]), "changed in place")?;
    datagrams(&[message.clone(), message])?;
    Ok(())
}

#[test]
fn a_stream_tells_templates_once_and_may_withdraw_them() -> Result<()> {
    let [one, two] = right(10);
    let seen = session(&[one.clone(), two.clone()])?;
    assert_eq!((seen.data_records, seen.messages), (9, (0, 2)));
    let again = Message::new(10, 5).template();
    complains(session(&[one.clone(), again.clone()]), "told again in one session")?;
    let withdrawal = Message::new(10, 5).set(2, &[TEMPLATE.to_be_bytes(), [0; 2]].concat());
    session(&[one.clone(), withdrawal.clone(), again])?;
    complains(session(&[one.clone(), withdrawal.clone(), two]), "data before its template")?;
    complains(session(&[one.clone(), withdrawal.clone(), withdrawal.clone()]), "there is none")?;
    complains(datagrams(&[one, withdrawal]), "a withdrawal over UDP")
}

#[test]
fn a_stream_is_whole_messages() -> Result<()> {
    let [one, two] = right(10);
    let octets = [one.build(), two.build()].concat();
    assert_eq!(stream::messages(&octets)?.len(), 2);
    for cut in [1, 3, octets.len() - 1] {
        ensure!(stream::messages(&octets[..cut]).is_err(), "{cut} octets pass for messages");
    }
    let stray = [&octets[..], &[0, 9, 0, 16]].concat();
    ensure!(stream::messages(&stray).is_err(), "another version passes");
    ensure!(wire::judge_stream(&[]).is_err(), "nothing at all passes");
    Ok(())
}

/// A v5 message of some records after others, as the agent would send it.
fn v5(sequence: u8, records: u8) -> Vec<u8> {
    let mut message = vec![0, 5, 0, records, 0, 0x36, 0xee, 0x80, 0x65, 0x53, 0xf1, 0, 0, 0, 0, 0];
    message.extend([0, 0, 0, sequence, 0, 1, 0, 0]);
    for _ in 0..records {
        message.extend([10, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 9, 0, 0, 9, 0]);
        message.extend([0, 1, 0, 0, 0, 1, 0, 9, 4, 0, 0, 53, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    message
}

#[test]
fn fixed_layouts_are_read_to_the_octet() -> Result<()> {
    let judge = |messages: &[Vec<u8>]| {
        let mut all = recording(&[], 4739);
        let one = recording(&right(9)[..1], 4739).datagrams.remove(0);
        all.datagrams = messages.iter().map(|it| Datagram { payload: it.clone(), ..one.clone() }).collect();
        wire::legacy::judge(&all, 5)
    };
    assert_eq!(judge(&[v5(0, 2), v5(2, 3)])?, 5);
    let bent = |at: usize, to: u8| {
        let mut message = v5(2, 3);
        message[at] = to;
        judge(&[v5(0, 2), message])
    };
    // Version, count, sequence, export time, uptime against it, engine, sampling, next hop, padding.
    for at in [1, 3, 19, 8, 7, 21, 23, 24 + 11, 24 + 36, 24 + 47] {
        ensure!(bent(at, 99).is_err(), "octet {at} may be anything");
    }
    ensure!(judge(&[v5(0, 2)[..119].to_vec()]).is_err(), "a cut message passes");
    ensure!(judge(&[v5(0, 31)]).is_err(), "31 records pass");
    Ok(())
}
