//! Applications as applicationId (IANA 95) numbers them: an engine and its selector (RFC 6759 section 4).

/// Engine IANA-L4: the selector is the port of a service in IANA's registry of service names.
const IANA_L4: u32 = 3 << 24;

/// Engine USER-Defined: the selector is the exporter's own, named by options data.
const USER_DEFINED: u32 = 6 << 24;

/// An application: engine in the high octet, selector in the low three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Application(u32);

/// The name of an application, as options data announce it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The application.
    pub application: Application,
    /// The name of the service in IANA's registry, or of the protocol.
    pub name: &'static str,
}

impl Application {
    /// No protocol that is known was seen.
    pub const UNKNOWN: Self = Self(0);
    /// HTTP without TLS, on any port.
    pub const HTTP: Self = Self::service(80);
    /// DNS without TLS.
    pub const DOMAIN: Self = Self::service(53);
    /// HTTP over TLS or QUIC, on any port.
    pub const HTTPS: Self = Self::service(443);
    /// DNS over TLS or QUIC, on any port.
    pub const DOMAIN_TLS: Self = Self::service(853);
    /// TLS of a service that has no port of its own.
    pub const TLS: Self = Self(USER_DEFINED | 1);
    /// QUIC of a service that has no port of its own.
    pub const QUIC: Self = Self(USER_DEFINED | 2);

    /// The service with this well-known port.
    const fn service(port: u16) -> Self {
        Self(IANA_L4 | port as u32)
    }

    /// The number on the wire, 4 octets.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The service that speaks TLS or QUIC from the first octet on at this port.
    #[must_use]
    pub fn over_tls(port: u16) -> Option<Self> {
        let service = Self::service(port);
        let is_over_tls = APPLICATIONS.iter().skip(PLAIN).any(|it| it.application == service);
        is_over_tls.then_some(service)
    }
}

const fn service(port: u16, name: &'static str) -> Named {
    Named { application: Application::service(port), name }
}

/// Rows of [`APPLICATIONS`] in front of those of services over TLS.
const PLAIN: usize = 4;

/// All applications that a record names.
pub const APPLICATIONS: [Named; 21] = [
    Named { application: Application::TLS, name: "tls" },
    Named { application: Application::QUIC, name: "quic" },
    service(80, "http"),
    service(53, "domain"),
    service(443, "https"),
    service(465, "submissions"),
    service(563, "nntps"),
    service(636, "ldaps"),
    service(853, "domain-s"),
    service(990, "ftps"),
    service(992, "telnets"),
    service(993, "imaps"),
    service(995, "pop3s"),
    service(2083, "radsec"),
    service(4740, "ipfixs"),
    service(5061, "sips"),
    service(5349, "stuns"),
    service(5671, "amqps"),
    service(6514, "syslog-tls"),
    service(6697, "ircs-u"),
    service(8883, "secure-mqtt"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_application_has_one_name_and_only_services_over_tls_are_known_by_their_port() {
        let numbers: std::collections::BTreeSet<u32> =
            APPLICATIONS.iter().map(|it| it.application.number()).collect();
        assert_eq!(numbers.len(), APPLICATIONS.len());
        assert_eq!(Application::over_tls(443).map(Application::number), Some(0x0300_01bb));
        assert_eq!(Application::over_tls(993), Some(Application(0x0300_03e1)));
        assert_eq!([53, 80, 22, 1].map(Application::over_tls), [None; 4]);
        assert_eq!(Application::QUIC.number(), 0x0600_0002);
    }
}
