//! One client of the control socket: its request line, bounded in octets and time, and its answer.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::{OwnedSemaphorePermit, mpsc},
    time::timeout,
};

use super::{
    Question, Reply, refusal,
    verbs::{VERBS, Verb, Who, find},
};

/// A client that has sent nothing for so long has no request and reads the books, as clients did before there
/// were verbs.
const SILENCE: Duration = Duration::from_millis(500);

/// How long a request line may take.
const REQUEST: Duration = Duration::from_secs(1);

/// Octets of the longest request line.
const LONGEST: usize = 256;

/// How long an answer may be on its way to a client that does not read.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves one client, which has its place until then.
pub(super) async fn serve(
    mut stream: UnixStream,
    questions: mpsc::Sender<Question>,
    owner: u32,
    place: OwnedSemaphorePermit,
) {
    let answer = match request(&mut stream).await.and_then(|line| allowed(&line, &stream, owner)) {
        Ok(verb) => {
            let (reply, answer) = Reply::new();
            // There is room: each place asks once.
            if questions.send(Question { verb, reply }).await.is_err() {
                return;
            }
            // An agent that ends drops the question.
            let Ok(answer) = answer.await else { return };
            answer
        }
        Err(why) => refusal(&why),
    };
    if !matches!(timeout(PATIENCE, write(&mut stream, &answer)).await, Ok(Ok(()))) {
        log::debug!("an answer at the control socket was not read");
    }
    drop(place);
}

async fn write(stream: &mut UnixStream, answer: &Arc<[u8]>) -> io::Result<()> {
    stream.write_all(answer).await?;
    stream.shutdown().await
}

/// The request line without its end; the refusal if there is none in time.
async fn request(stream: &mut UnixStream) -> Result<String, String> {
    let mut line = Vec::with_capacity(LONGEST);
    let Ok(more) = timeout(SILENCE, read(stream, &mut line)).await else { return Ok(String::new()) };
    if more? {
        let rest = async {
            while read(stream, &mut line).await? {}
            Ok::<(), String>(())
        };
        let late = |_| format!("no request line within {} s", REQUEST.as_secs());
        timeout(REQUEST, rest).await.map_err(late)??;
    }
    text(line)
}

/// Reads some octets; whether the line continues behind them.
async fn read(stream: &mut UnixStream, line: &mut Vec<u8>) -> Result<bool, String> {
    let mut octets = [0; LONGEST];
    let count = stream.read(&mut octets).await.map_err(|error| error.to_string())?;
    line.extend_from_slice(&octets[..count]);
    let is_whole = count == 0 || line.contains(&b'\n');
    if !is_whole && line.len() >= LONGEST {
        return Err(format!("a request line is longer than {LONGEST} octets"));
    }
    Ok(!is_whole)
}

fn text(mut line: Vec<u8>) -> Result<String, String> {
    let end = line.iter().position(|octet| *octet == b'\n').unwrap_or(line.len());
    line.truncate(end);
    let line = String::from_utf8(line).map_err(|_| "the request line is not UTF-8".to_owned())?;
    Ok(line.trim_end().to_owned())
}

/// The verb, if there is one and this client may use it.
pub(super) fn allowed(line: &str, stream: &UnixStream, owner: u32) -> Result<&'static Verb, String> {
    let Some(verb) = find(line) else {
        let names: Vec<_> = VERBS.iter().map(|verb| verb.name).collect();
        return Err(format!("unknown request \"{line}\": send one of {}", names.join(", ")));
    };
    if verb.who == Who::Owner {
        let user = stream.peer_cred().map_err(|error| error.to_string())?.uid();
        if user != 0 && user != owner {
            return Err(format!("{} is for root and the agent's user, and this is user {user}", verb.name));
        }
    }
    Ok(verb)
}
