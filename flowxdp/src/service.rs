//! What a service manager is told: that the agent is ready, and that it ends (sd_notify(3)).

use sd_notify::{NotifyState, notify};

/// Everything is attached, and packets are metered.
pub fn ready() {
    tell(NotifyState::Ready);
}

/// What is left is exported, and then the agent ends.
pub fn stopping() {
    tell(NotifyState::Stopping);
}

/// Without NOTIFY_SOCKET in the environment nobody wants to know.
fn tell(state: NotifyState<'_>) {
    if let Err(error) = notify(&[state]) {
        log::warn!("cannot tell the service manager: {error}");
    }
}
