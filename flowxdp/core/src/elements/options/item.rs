//! The sources of the values in options data.

/// The source of an options field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is named as the element that carries it")]
pub enum Item {
    System,
    Process,
    ExportedMessages,
    ExportedFlowRecords,
    ExportedOctets,
    IgnoredPackets,
    IgnoredOctets,
    FirstIgnored,
    LastIgnored,
    NotSentFlows,
    NotSentPackets,
    NotSentOctets,
    FirstNotSent,
    LastNotSent,
    TemplateId,
    FlowKeyIndicator,
    InterfaceIndex,
    InterfaceName,
    InterfaceDescription,
    ExporterName,
    SystemInitTime,
    ProtocolVersion,
    TransportProtocol,
    ExporterPort,
    SelectorId,
    SelectorAlgorithm,
    SamplerMode,
    SamplingProbability,
    SamplingInterval,
    SampledPackets,
    SamplingSpace,
}
