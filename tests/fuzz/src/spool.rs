//! The target `spool`: any octets as a file of IPFIX messages.

use flowxdp_core::exporting::spool::{
    Content, Fault, HEADER, MOST_TEMPLATES, Messages, Start, Templates, begin, export_secs, stamp,
};

/// One input of the fuzzer.
///
/// # Panics
///
/// If something does not hold.
pub fn target(data: &[u8]) {
    let (mut messages, mut templates) = (Messages::new(data), Templates::default());
    let mut octets = 0;
    for message in messages.by_ref() {
        octets += message.len();
        let content = check(&mut templates, message);
        // Where anything is wrong, it is a message's own fault: as one that is cut, it has nothing else.
        let cut = &message[..message.len() - 1];
        let fault = Some(Fault::Message);
        assert_eq!(templates.clone().read(cut), Content { fault, ..Content::default() });
        told_again(&templates, content.domain);
    }
    assert_eq!(octets, messages.whole(), "octets are missing between two messages");
    let rest = data.len() - octets;
    match messages.rest() {
        Start::Message(length) => unreachable!("a whole message of {length} octets was not given"),
        Start::End => assert_eq!(rest, 0),
        Start::Torn => assert!(rest > 0 && data[octets..].iter().zip([0, 10]).all(|(is, must)| *is == must)),
        Start::Foreign => assert!(rest > 0),
    }
}

/// Reads a message and checks its content against its length.
fn check(templates: &mut Templates, message: &[u8]) -> Content {
    let before = templates.clone();
    let content = templates.read(message);
    assert_ne!(content.fault, Some(Fault::Message), "a whole message is none");
    assert_eq!(content.export_secs, export_secs(message));
    // A record has an octet at least.
    assert!(content.counted as usize <= message.len() - HEADER, "more records than octets");
    assert!(content.total.records <= u64::from(content.counted), "more flow records than records");
    assert!(
        content.total.records > 0 || (content.total.packets, content.total.octets) == (0, 0),
        "packets without a record"
    );
    // Another place in a file changes nothing else.
    let mut stamped = message.to_vec();
    stamp(&mut stamped, 5, 6);
    let again = before.clone().read(&stamped);
    assert_eq!(again, Content { sequence: 5, export_secs: 6, ..content });
    if !content.has_templates {
        let definitions = before.definitions(content.domain);
        assert_eq!(templates.definitions(content.domain), definitions, "templates came from nowhere");
    }
    content
}

/// The known templates of a domain suffice for another reader.
fn told_again(templates: &Templates, domain: u32) {
    let definitions = templates.definitions(domain);
    let octets: usize = definitions.iter().map(|it| it.octets.len()).sum();
    assert!(octets <= MOST_TEMPLATES, "{octets} octets of templates");
    assert!(definitions.is_sorted_by(|one, other| one.id < other.id), "templates in no order");
    let mut again = Templates::default();
    for message in Messages::new(&begin(domain, &definitions, 7)) {
        let content = again.read(message);
        assert_eq!((content.fault, content.counted, content.export_secs), (None, 0, 7));
    }
    assert_eq!(again.definitions(domain), definitions, "templates are not told as they were");
}
