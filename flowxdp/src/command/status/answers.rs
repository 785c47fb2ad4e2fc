//! The agent's answers that are on the way: so many at once, whoever asks and does not read.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    net::UnixStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// How many may be on the way at once.
pub const MOST: usize = 32;

/// How long one may be on the way.
const PATIENCE: Duration = Duration::from_secs(5);

/// Places for answers.
#[derive(Debug)]
pub struct Answers(Arc<Semaphore>);

impl Default for Answers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

impl Answers {
    /// A place for one more answer; `None` if there are enough.
    pub fn place(&self) -> Option<Place> {
        Arc::clone(&self.0).try_acquire_owned().ok().map(Place)
    }
}

/// One of the answers, which leaves its place at its end.
#[derive(Debug)]
pub struct Place(OwnedSemaphorePermit);

impl Place {
    /// Writes an answer; one that is not read is given up.
    pub fn answer(self, mut stream: UnixStream, text: Vec<u8>) {
        tokio::spawn(async move {
            let written = tokio::time::timeout(PATIENCE, stream.write_all(&text)).await;
            if !matches!(written, Ok(Ok(()))) {
                log::debug!("a question for the books was not waited out");
            }
            drop(self.0);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn who_does_not_read_takes_a_place_and_no_more_than_all_are_taken() {
        let answers = Answers::default();
        let mut askers = Vec::new();
        for _ in 0..MOST {
            let (here, there) = UnixStream::pair().unwrap();
            answers.place().unwrap().answer(here, vec![b'x'; 1 << 24]);
            askers.push(there);
        }
        assert!(answers.place().is_none());
        let mut text = Vec::new();
        askers.remove(7).read_to_end(&mut text).await.unwrap();
        assert_eq!(text.len(), 1 << 24);
        drop(askers.remove(9));
        // The ends of those two are noticed without waiting for anything else.
        tokio::time::timeout(PATIENCE, async {
            while answers.0.available_permits() < 2 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        assert_eq!(answers.0.available_permits(), 2);
    }
}
