//! Clients of the control socket: today's, yesterday's, and hostile ones.

#![expect(clippy::disallowed_methods, reason = "a test may panic where the system has no thread")]

use std::{os::unix::net::UnixStream as Client, path::Path, thread};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::LocalSet,
    time::timeout,
};

use super::*;

const LIMIT: Duration = Duration::from_secs(20);
const ANSWER: &[u8] = b"{\"seen\":{\"packets\":1,\"octets\":60}}\n";

/// Serves a socket while `clients` run: the answer to each question is [`ANSWER`], and the verbs are kept.
async fn served<T>(clients: impl AsyncFnOnce(std::path::PathBuf) -> T) -> (T, Vec<&'static str>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.sock");
    let mut control = Control::new(Socket::bind(&path).unwrap());
    let mut verbs = Vec::new();
    let serving = async {
        loop {
            let question = control.next().await;
            verbs.push(question.verb.name);
            question.reply.text(ANSWER.into());
        }
    };
    let local = LocalSet::new();
    let result = local
        .run_until(async {
            tokio::select! {
                () = serving => unreachable!("it serves for ever"),
                result = timeout(LIMIT, clients(path)) => result.expect("clients wait for ever"),
            }
        })
        .await;
    (result, verbs)
}

/// Sends octets, ends its side if asked to, and reads the answer.
async fn send(path: &Path, octets: &[u8], end: bool) -> Vec<u8> {
    let mut stream = UnixStream::connect(path).await.unwrap();
    // An agent that refuses a long line closes before it has read all of it.
    drop(stream.write_all(octets).await);
    if end {
        stream.shutdown().await.unwrap();
    }
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer).await);
    answer
}

fn error(answer: &[u8]) -> String {
    let text = String::from_utf8(answer.to_vec()).unwrap();
    assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
    let object: Value = serde_json::from_str(&text).unwrap();
    object["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_connection_without_a_request_gets_the_books_octet_for_octet() {
    let (answers, verbs) = served(async |path| {
        [send(&path, b"", false).await, send(&path, b"", true).await, send(&path, b"\n", false).await]
    })
    .await;
    assert!(answers.iter().all(|answer| answer == ANSWER), "{answers:?}");
    assert_eq!(verbs, ["books"; 3]);
}

#[tokio::test]
async fn a_request_line_is_a_verb_and_another_one_is_refused_by_name() {
    let (answers, verbs) = served(async |path| {
        for request in [&b"books\n"[..], b"flush\r\n", b"flush"] {
            assert_eq!(send(&path, request, true).await, ANSWER);
        }
        let mut refused = Vec::new();
        for request in [&b"flsuh\n"[..], b"\xff\xfe\n", b"books now\n", b"\x1b[2J\n"] {
            refused.push(error(&send(&path, request, false).await));
        }
        refused
    })
    .await;
    assert_eq!(answers[0], "unknown request \"flsuh\": send one of books, config, flush, reload");
    assert!(answers[1].contains("not UTF-8") && answers[2].contains("books now"), "{answers:?}");
    assert_eq!(verbs, ["books", "flush", "flush"]);
}

#[tokio::test]
async fn a_line_that_is_huge_or_never_ends_is_refused_in_time() {
    let (answers, verbs) = served(async |path| {
        let huge = error(&send(&path, &[b'x'; 1 << 20], false).await);
        let slow = error(&send(&path, b"boo", false).await);
        (huge, slow)
    })
    .await;
    assert!(answers.0.contains("longer than 256 octets"), "{answers:?}");
    assert!(answers.1.contains("no request line within 1 s"), "{answers:?}");
    assert!(verbs.is_empty());
}

#[tokio::test]
async fn more_clients_than_places_wait_for_theirs() {
    let count = 3 * CLIENTS;
    let (answers, verbs) = served(async |path| {
        let clients: Vec<_> = (0..count)
            .map(|_| {
                let path = path.clone();
                // They come at one time, and none sends a request.
                thread::spawn(move || {
                    let mut stream = Client::connect(path).unwrap();
                    let mut answer = Vec::new();
                    std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
                    answer
                })
            })
            .collect();
        let ask = send(&path, b"books\n", false).await;
        assert_eq!(ask, ANSWER);
        while !clients.iter().all(thread::JoinHandle::is_finished) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        clients.into_iter().map(|client| client.join().unwrap()).collect::<Vec<_>>()
    })
    .await;
    assert!(answers.iter().all(|answer| answer == ANSWER));
    assert_eq!(verbs.len(), count + 1);
}

#[tokio::test]
async fn clients_that_leave_or_never_read_free_their_places() {
    let (_, verbs) = served(async |path| {
        let mut held = Vec::new();
        for number in 0..2 * CLIENTS {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            stream.write_all(b"books\n").await.unwrap();
            if number % 2 == 0 {
                held.push(stream);
            }
        }
        assert_eq!(send(&path, b"flush\n", false).await, ANSWER);
    })
    .await;
    assert_eq!(verbs.last(), Some(&"flush"));
}

#[tokio::test]
async fn flush_is_for_root_and_the_agents_user() {
    let (one, other) = UnixStream::pair().unwrap();
    drop(other);
    let user = one.peer_cred().unwrap().uid();
    assert!(connection::allowed("flush", &one, user).is_ok());
    // A test that is root's may do everything.
    if user != 0 {
        assert!(connection::allowed("flush", &one, user + 1).unwrap_err().contains("for root"));
    }
    assert!(connection::allowed("books", &one, user + 1).is_ok());
}
