//! A panic becomes an error: the caller flushes, writes the books, and ends.

use std::{
    any::Any,
    backtrace::{Backtrace, BacktraceStatus},
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    pin::pin,
    task::Poll,
};

/// Runs `work`; its panic is an error.
///
/// State that `work` was changing may be half changed afterwards, so a caller only flushes, reports and ends.
///
/// # Errors
///
/// That of `work`, or its panic's message.
pub fn caught<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(error(&*payload)))
}

/// The same of a future: each poll is caught, and none follows a panic.
///
/// # Errors
///
/// As [`caught`].
pub async fn caught_async<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut work = pin!(work);
    std::future::poll_fn(|context| {
        let polled = panic::catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        polled.unwrap_or_else(|payload| Poll::Ready(Err(error(&*payload))))
    })
    .await
}

/// The first of two errors counts; the second one is written to the log.
///
/// # Errors
///
/// The first one that there is.
pub fn first(one: anyhow::Result<()>, two: anyhow::Result<()>) -> anyhow::Result<()> {
    match (one, two) {
        (Err(first), Err(second)) => {
            log::error!("{second:#}");
            Err(first)
        }
        (one, two) => one.and(two),
    }
}

/// Panics are lines of the log from now on. With RUST_BACKTRACE, the calls that led there follow.
pub fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
        log::error!("panic{place}: {}", said(info));
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            log::error!("{trace}");
        }
    }));
}

fn said<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    info.payload_as_str().unwrap_or("no message")
}

fn error(payload: &(dyn Any + Send)) -> anyhow::Error {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    anyhow::anyhow!("a fault of flowxdp itself ({text}): please report it with the log")
}

#[cfg(test)]
mod tests {
    use super::{caught, caught_async, first};
    use anyhow::anyhow;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        let error = caught(|| -> anyhow::Result<()> { panic!("slot {}", 7) }).unwrap_err();
        assert!(error.to_string().contains("(slot 7)"), "{error}");
        assert_eq!(caught(|| Ok(1)).unwrap(), 1);
        assert_eq!(caught(|| -> anyhow::Result<()> { Err(anyhow!("x")) }).unwrap_err().to_string(), "x");
    }

    #[tokio::test]
    async fn a_panic_after_a_wait_is_an_error_and_others_go_on() {
        let panics = caught_async(async {
            tokio::task::yield_now().await;
            if true {
                panic!("in the loop");
            }
            Ok(())
        });
        assert!(panics.await.unwrap_err().to_string().contains("(in the loop)"));
        let ends = caught_async(async {
            tokio::task::yield_now().await;
            Ok(2)
        });
        assert_eq!(ends.await.unwrap(), 2);
    }

    #[test]
    fn the_first_error_counts() {
        let error = || Err(anyhow!("second"));
        assert_eq!(first(Err(anyhow!("first")), error()).unwrap_err().to_string(), "first");
        assert_eq!(first(Ok(()), error()).unwrap_err().to_string(), "second");
        first(Ok(()), Ok(())).unwrap();
    }
}
