//! A sender that tags its packets as a VLAN device upon it does: the kernel keeps the tag beside the packet, and
//! puts it in on the way out where the driver does not take it so.

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::programs::{SchedClassifier, TcAttachType, tc};

use crate::foreign;
use crate::netns::Netns;

/// Tags everything that an interface sends, as long as it lives.
pub struct Tagger {
    _program: Ebpf,
}

impl Tagger {
    /// Begins with it; `vlan` is the identifier.
    ///
    /// # Errors
    ///
    /// The kernel takes no such program.
    pub fn attach(netns: &Netns, interface: &str, vlan: u16) -> Result<Self> {
        let [low, high] = vlan.to_le_bytes();
        // r2 = 0x8100 in network byte order; r3 = the tag; bpf_skb_vlan_push(skb, r2, r3); r0 = TC_ACT_OK; exit.
        let program = [
            [0xb7, 2, 0, 0, 0x81, 0, 0, 0],
            [0xb7, 3, 0, 0, low, high, 0, 0],
            [0x85, 0, 0, 0, 18, 0, 0, 0],
            [0xb7, 0, 0, 0, 0, 0, 0, 0],
            [0x95, 0, 0, 0, 0, 0, 0, 0],
        ];
        let mut ebpf = Ebpf::load(&foreign::object("classifier", program.as_flattened())?)?;
        netns.inside(|| {
            // Older kernels attach classifiers to this queueing discipline alone.
            tc::qdisc_add_clsact(interface)?;
            let program: &mut SchedClassifier =
                ebpf.program_mut("foreign").context("no program")?.try_into()?;
            program.load()?;
            program.attach(interface, TcAttachType::Egress)?;
            Ok(())
        })?;
        Ok(Self { _program: ebpf })
    }
}
