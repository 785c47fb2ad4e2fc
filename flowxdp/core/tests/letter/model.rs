//! RFC 7012 and RFC 5610: the elements that we export, against IANA's registry.

use flowxdp_core::elements::data_type::DataType;
use flowxdp_core::elements::options::OPTIONS;
use flowxdp_core::elements::registry;
use flowxdp_core::elements::{Choice, ELEMENTS};
use flowxdp_core::exporting::template::{Kind, RecordFormat, Template};
use flowxdp_core::exporting::wire::Protocol;

/// Number, type and length of each field in IPFIX that IANA registered.
fn fields() -> Vec<(u16, DataType, u16)> {
    let flows = ELEMENTS
        .iter()
        .filter(|it| it.enterprise == 0)
        .filter_map(|it| Some((it.id, it.data_type, it.length(Protocol::Ipfix, false)? as u16)));
    let options = OPTIONS.iter().flat_map(|template| template.fields(Protocol::Ipfix));
    flows.chain(options.map(|(field, length)| (field.id, field.data_type, length))).collect()
}

#[test]
fn element_numbers_are_within_1_and_32767() {
    assert!(fields().iter().all(|(id, _, _)| (1..=32_767).contains(id)));
}

#[test]
fn every_element_is_registered_with_the_type_that_we_write() {
    for (id, data_type, _) in fields() {
        assert_eq!(registry::get(id).unwrap().data_type, data_type, "{id}");
    }
}

#[test]
fn types_of_one_length_have_it() {
    for (id, data_type, length) in fields() {
        let full = data_type.length().map(|length| length as u16);
        let reducible = matches!(
            data_type,
            DataType::Unsigned16 | DataType::Unsigned32 | DataType::Unsigned64 | DataType::Unsigned256
        );
        match full {
            Some(full) if reducible => assert!(length <= full && length > 0, "{id}"),
            Some(full) => assert_eq!(length, full, "{id}"),
            // An array of octets may have a length of its own in the template: a label stack entry has three.
            None if data_type == DataType::OctetArray => assert!(length > 0, "{id}"),
            None => assert_eq!(length, 65_535, "{id}"),
        }
    }
}

#[test]
fn a_flow_template_says_no_element_twice() {
    for format in RecordFormat::ALL {
        for kind in Kind::ALL {
            let template = Template::new(Protocol::Ipfix, format, kind, &Choice::default());
            let ids = template.fields().iter().map(|field| field.id);
            assert_eq!(ids.collect::<std::collections::BTreeSet<u16>>().len(), template.fields().len());
        }
    }
}
