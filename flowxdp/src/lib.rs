//! x

pub mod collector_url;
pub mod units;

pub mod capture;
pub mod command;
pub mod report;
