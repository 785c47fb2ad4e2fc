//! Random sessions of every protocol: their messages are read back, record by record.

use std::panic::catch_unwind;

use anyhow::{Result, ensure};
use flowxdp_fuzz::{encoder::export, mutate::Random};

/// Inputs of each length.
const INPUTS: u64 = 150;

#[test]
fn what_random_sessions_send_is_what_they_were_given() -> Result<()> {
    let mut records = [0; 6];
    for length in [60, 400, 1500] {
        for seed in 0..INPUTS {
            let mut input = Random(seed * 10_000 + length as u64).octets(length);
            let kind = usize::try_from(seed % 6)?;
            input[0] = input[0] / 6 * 6 % 252 + u8::try_from(kind)?;
            let export = catch_unwind(|| export(&input));
            let Ok(export) = export else { anyhow::bail!("seed {seed}, {length} octets: see above") };
            records[kind] += export.sessions.iter().map(|it| it.records.len()).sum::<usize>();
        }
    }
    ensure!(records.iter().all(|count| *count > 500), "records by protocol: {records:?}");
    Ok(())
}
