//! Records in, messages out, nothing sent.

use std::time::{Duration, Instant};

use anyhow::Result;
use flowxdp_core::exporting::session::{Session, SessionConfig};
use flowxdp_core::record::{Entry, FlowRecord};

use super::Turn;
use super::flows::NOW;
use crate::measure::cpu_time;

/// Pushes all records again and again, and polls the ready messages each time.
pub(crate) fn turn(config: &SessionConfig, records: &[FlowRecord], count: u32) -> Result<Turn> {
    let mut session = Session::new(config.clone())?;
    // Values that are not zero, so that a copy of them is one.
    let more = vec![0x5a; config.choice.width()];
    let mut turn = Turn::default();
    let (wall, start) = (Instant::now(), cpu_time());
    while turn.records < u64::from(count) {
        let before = cpu_time();
        for record in records {
            session.push(Entry { record, more: &more }, NOW)?;
        }
        turn.push += cpu_time().saturating_sub(before);
        while let Some(message) = session.poll_message(NOW, false) {
            turn.records += message.total.records;
            std::hint::black_box(&message.bytes);
            session.recycle(message);
        }
    }
    turn.cpu = cpu_time().saturating_sub(start).max(Duration::from_nanos(1));
    turn.wall = wall.elapsed();
    Ok(turn)
}
