//! x

pub mod collector_url;
pub mod units;

pub mod capture;
