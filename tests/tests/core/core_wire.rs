//! The strict reader passes right messages made by hand, and notices each single fault.

use anyhow::{Result, ensure};
use flowxdp_tests::handmade::{Message, TEMPLATE, flow, recording, right, template};
use flowxdp_tests::judge::wire;

const VERSIONS: [u16; 2] = [9, 10];

/// The reader must complain of these messages, and in these words.
fn complains(messages: &[Message], words: &str) -> Result<()> {
    match wire::judge(&recording(messages, 4739)) {
        Ok(seen) => anyhow::bail!("{words:?} was overlooked; seen: {seen:?}"),
        Err(error) => {
            ensure!(format!("{error:#}").contains(words), "{words:?} is not what it says: {error:#}")
        }
    }
    Ok(())
}

/// The set id of templates, or of options templates.
const fn template_set(version: u16, options: bool) -> u16 {
    (if version == 9 { 0 } else { 2 }) + options as u16
}

#[test]
fn right_messages_pass_and_are_counted() -> Result<()> {
    for version in VERSIONS {
        let seen = wire::judge(&recording(&right(version), 4739))?;
        assert_eq!(seen.data_records, 9);
        assert_eq!(seen.templates, 1);
        assert_eq!(seen.messages, if version == 9 { (2, 0) } else { (0, 2) });
        assert_eq!(seen.messages_after_template, 1);
    }
    Ok(())
}

#[test]
fn sessions_and_domains_have_sequences_of_their_own() -> Result<()> {
    for version in VERSIONS {
        let [one, two] = right(version);
        let other = Message { domain: 7, ..one.clone() };
        wire::judge(&recording(&[one, other, two], 4739))?;
    }
    Ok(())
}

#[test]
fn nothing_at_all_is_an_error() {
    assert!(wire::judge(&recording(&[], 4739)).is_err());
}

#[test]
fn a_gap_in_the_sequence() -> Result<()> {
    for version in VERSIONS {
        let [one, two] = right(version);
        let two = Message { sequence: two.sequence + 1, ..two };
        complains(&[one, two], "expected")?;
    }
    Ok(())
}

#[test]
fn a_sequence_that_does_not_begin_at_zero() -> Result<()> {
    for version in VERSIONS {
        let [one, _] = right(version);
        complains(&[Message { sequence: 1, ..one }], "the first sequence is 1")?;
    }
    Ok(())
}

#[test]
fn options_records_left_out_of_the_sequence() -> Result<()> {
    let options = [&[1, 1, 0, 2, 0, 1, 0, 149, 0, 4, 0, 41, 0, 8][..]].concat();
    let data = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9];
    let one = Message::new(10, 0).set(3, &options).set(257, &data).template().flows(0..5);
    let right = Message::new(10, 6).flows(5..6);
    wire::judge(&recording(&[one.clone(), right], 4739))?;
    complains(&[one, Message::new(10, 5).flows(5..6)], "sequence 5, expected 6")
}

#[test]
fn a_wrong_length_in_the_header() -> Result<()> {
    let [one, _] = right(10);
    complains(&[Message { length_error: 4, ..one }], "the header says")
}

#[test]
fn a_wrong_count_in_the_header() -> Result<()> {
    let [one, _] = right(9);
    complains(&[Message { count: one.count - 1, ..one }], "the header counts")
}

#[test]
fn a_set_that_is_not_aligned() -> Result<()> {
    // Fields of 4 and 1 octets; one record and one octet of padding, where three would be right.
    let odd = template(300, &[(8, 4), (4, 1)]);
    let message = Message { count: 2, ..Message::new(9, 0) }.set(0, &odd);
    complains(&[message.clone().set(300, &[10, 0, 0, 1, 6, 0])], "not a multiple of 4")?;
    wire::judge(&recording(&[message.set(300, &[10, 0, 0, 1, 6, 0, 0, 0])], 4739))?;
    Ok(())
}

#[test]
fn padding_that_is_not_zero_or_not_allowed() -> Result<()> {
    let odd = template(300, &[(8, 4), (4, 1)]);
    let v9 = Message { count: 2, ..Message::new(9, 0) }.set(0, &odd);
    complains(&[v9.set(300, &[10, 0, 0, 1, 6, 0, 1, 0])], "are no padding")?;
    let ipfix = Message::new(10, 0).set(2, &odd);
    complains(&[ipfix.set(300, &[10, 0, 0, 1, 6, 0, 0, 0])], "3 octets of padding")?;
    // Between sets and at their end NetFlow v9 needs less than four.
    let long = [flow(0), vec![0; 4]].concat();
    let v9 = Message { count: 2, ..Message::new(9, 0).template() }.set(TEMPLATE, &long);
    complains(&[v9], "4 octets of padding")
}

#[test]
fn a_record_that_is_cut() -> Result<()> {
    for version in VERSIONS {
        let cut = [flow(0), flow(1)[..20].to_vec()].concat();
        let message = Message { count: 2, ..Message::new(version, 0).template() };
        complains(&[message.set(TEMPLATE, &cut)], "are no padding")?;
    }
    Ok(())
}

#[test]
fn an_empty_set() -> Result<()> {
    for version in VERSIONS {
        let [one, _] = right(version);
        complains(&[one.clone().set(TEMPLATE, &[])], "the set is empty")?;
        complains(&[one.set(template_set(version, false), &[])], "the set is empty")?;
    }
    complains(&[Message::new(10, 0)], "no set at all")
}

#[test]
fn a_set_of_padding_alone() -> Result<()> {
    let [one, _] = right(9);
    complains(&[one.set(TEMPLATE, &[0, 0, 0, 0])], "a set without a record")
}

#[test]
fn a_set_that_passes_the_end_of_its_message() -> Result<()> {
    for version in VERSIONS {
        let [one, _] = right(version);
        complains(&[one.clone().set_of_length(TEMPLATE, 200, &flow(9))], "passes the end of the message")?;
        complains(&[one.set_of_length(TEMPLATE, 3, &[])], "is below 4")?;
    }
    Ok(())
}

#[test]
fn stray_octets_after_the_last_set() -> Result<()> {
    let [mut one, _] = right(10);
    one.sets.extend([0, 0]);
    complains(&[one], "stray octets")
}

#[test]
fn data_before_its_template() -> Result<()> {
    for version in VERSIONS {
        complains(&[Message::new(version, 0).flows(0..5)], "data before its template")?;
        // The template of another domain does not count.
        let [one, _] = right(version);
        let other = Message { domain: 2, ..Message::new(version, 0) }.flows(0..5);
        complains(&[one, other], "data before its template")?;
    }
    Ok(())
}

#[test]
fn ids_that_are_reserved() -> Result<()> {
    for version in VERSIONS {
        let [one, _] = right(version);
        complains(&[one.set(255, &flow(9))], "the set id is reserved")?;
        let low = template(255, &[(8, 4)]);
        complains(&[Message::new(version, 0).set(template_set(version, false), &low)], "below 256")?;
    }
    Ok(())
}

#[test]
fn a_template_that_changes_in_place() -> Result<()> {
    for version in VERSIONS {
        let [one, _] = right(version);
        let other = template(TEMPLATE, &[(8, 4), (12, 4)]);
        let same = Message { count: 1, ..Message::new(version, if version == 9 { 1 } else { 5 }) };
        complains(&[one, same.set(template_set(version, false), &other)], "changed in place")?;
    }
    Ok(())
}

#[test]
fn a_withdrawal_over_udp() -> Result<()> {
    complains(&[Message::new(10, 0).set(2, &[1, 0, 0, 0])], "a withdrawal over UDP")
}

#[test]
fn templates_that_make_no_sense() -> Result<()> {
    for version in VERSIONS {
        let set = |body: &[u8]| [Message::new(version, 0).set(template_set(version, false), body)];
        complains(&set(&template(256, &[(8, 0)])), "element 8 has length 0")?;
        complains(&set(&template(256, &[(8, 4)])[..6]), "passes the end of its set")?;
        complains(&set(&[template(256, &[(8, 4)]), vec![0, 7, 0, 0]].concat()), "")?;
    }
    let variable = template(256, &[(82, 65_535)]);
    complains(&[Message::new(9, 0).set(0, &variable)], "variable length in v9")
}

#[test]
fn options_templates_without_a_proper_scope() -> Result<()> {
    // Two fields, of which none, and then three, are scope.
    for scope in [0, 3] {
        let body = [1, 1, 0, 2, 0, scope, 0, 149, 0, 4, 0, 41, 0, 8];
        complains(&[Message::new(10, 0).set(3, &body)], "scope fields of 2")?;
    }
    let lengths = [1, 1, 0, 3, 0, 4, 0, 1, 0, 4, 0, 41, 0, 8];
    complains(&[Message::new(9, 0).set(1, &lengths)], "not multiples of 4")
}

#[test]
fn an_export_time_that_goes_back() -> Result<()> {
    for version in VERSIONS {
        let [one, two] = right(version);
        complains(&[one, Message { time: two.time - 1, ..two }], "export time goes back")?;
    }
    Ok(())
}

#[test]
fn messages_of_another_kind_or_size() -> Result<()> {
    let [one, _] = right(10);
    complains(&[Message { version: 5, ..one }], "neither v9 nor IPFIX")?;
    for version in VERSIONS {
        complains(&[Message::new(version, 0).template().flows(0..30)], "more than 1472")?;
    }
    Ok(())
}

#[test]
fn old_templates_are_told() -> Result<()> {
    for version in VERSIONS {
        let [one, two] = right(version);
        let seen = wire::judge(&recording(&[one, Message { time: two.time + 700, ..two }], 4739))?;
        assert_eq!(seen.seconds_after_template, 700);
    }
    Ok(())
}

#[test]
fn fragments() {
    let [one, _] = right(10);
    let mut recording = recording(&[one], 4739);
    recording.fragments = 2;
    assert!(wire::judge(&recording).is_err_and(|error| error.to_string().contains("fragments")));
}

#[test]
fn variable_lengths_of_both_forms() -> Result<()> {
    let both = template(300, &[(8, 4), (82, 65_535)]);
    let short = [vec![10, 0, 0, 1, 3], b"eth".to_vec()].concat();
    let long = [vec![10, 0, 0, 1, 255, 0, 3], b"eth".to_vec()].concat();
    let message = Message::new(10, 0).set(2, &both);
    let seen = wire::judge(&recording(&[message.clone().set(300, &[short.clone(), long].concat())], 4739))?;
    assert_eq!(seen.data_records, 2);
    complains(&[message.set(300, &[short, vec![10, 0, 0, 1, 9, 1]].concat())], "record 2 passes the end")
}
