//! The name cache: the name that a client had resolved to an address, from the DNS answers that went to it.

use std::{net::IpAddr, sync::Arc};

use super::{generations::Generations, verdict::Message};

/// Shortest life of an entry in seconds: a client connects after the answer, also where its time to live is 0.
const SHORTEST: u32 = 60;

/// Longest life of an entry in seconds, a day: longer ones are mistakes or attacks on the cache.
const LONGEST: u32 = 86_400;

/// Milliseconds that the clocks of answers and of flows may differ by.
const AHEAD: u64 = 1_000;

/// Names by client and address, of bounded number and life.
#[derive(Debug)]
pub struct NameCache {
    names: Generations<(IpAddr, IpAddr), Entry>,
}

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    /// Milliseconds of the caller's clock.
    since: u64,
    /// Milliseconds of the caller's clock.
    until: u64,
}

impl NameCache {
    /// An empty cache that holds at most so many names.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { names: Generations::new(most) }
    }

    /// Notes the answers that `client` got. The name is the one that the client asked for, whatever aliases led to the
    /// address, in lower case: resolvers vary the case on purpose. `now` is in milliseconds.
    pub fn learn(&mut self, client: IpAddr, message: &Message, now: u64) {
        let Some(question) = &message.question else { return };
        if !message.is_response || message.answers.is_empty() {
            return;
        }
        let name: Arc<str> = question.to_ascii_lowercase().into();
        for answer in &message.answers {
            let life = answer.ttl.clamp(SHORTEST, LONGEST);
            let until = now.saturating_add(u64::from(life) * 1000);
            self.names.insert((client, answer.address), Entry { name: Arc::clone(&name), since: now, until });
        }
    }

    /// The name that a client had resolved to an address by `now`, while it lives, in milliseconds. An answer within
    /// [`AHEAD`] afterwards counts too.
    #[must_use]
    pub fn name(&self, client: IpAddr, address: IpAddr, now: u64) -> Option<&str> {
        let entry = self.names.get(&(client, address))?;
        (entry.since <= now.saturating_add(AHEAD) && now <= entry.until).then_some(&*entry.name)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::enrich::names::verdict::Answer;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

    fn message(name: &str, ttl: u32) -> Message {
        let answers = vec![Answer { address: SERVER, ttl }];
        Message { is_response: true, question: Some(name.into()), kind: 1, code: 0, answers }
    }

    #[test]
    fn a_name_lives_as_long_as_its_answer_says_within_bounds() {
        for (ttl, life) in [(0, 60), (300, 300), (u32::MAX, 86_400)] {
            let mut cache = NameCache::new(10);
            cache.learn(CLIENT, &message("wWw.Example.com", ttl), 5_000);
            let name = |seconds: u64| cache.name(CLIENT, SERVER, 5_000 + seconds * 1000);
            assert_eq!((name(life), name(life + 1)), (Some("www.example.com"), None), "{ttl}");
            assert_eq!(cache.name(OTHER, SERVER, 5_000), None, "another client resolved nothing");
            assert_eq!(cache.name(CLIENT, SERVER, 3_999), None, "nothing was resolved yet");
        }
    }

    #[test]
    fn the_last_answer_names_the_address_and_a_query_names_none() {
        let mut cache = NameCache::new(10);
        cache.learn(CLIENT, &message("a.example", 60), 0);
        cache.learn(CLIENT, &message("b.example", 60), 1);
        cache.learn(CLIENT, &Message { is_response: false, ..message("c.example", 60) }, 2);
        cache.learn(CLIENT, &Message { question: None, ..message("d.example", 60) }, 3);
        assert_eq!(cache.name(CLIENT, SERVER, 4), Some("b.example"));
    }
}
