//! Requests to the loader and its answers: one JSON text a message, of a bounded length, with a descriptor or none.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
};

use rustix::{
    cmsg_space,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Octets of the longest message: a path, or a refusal of one line.
pub const LONGEST: usize = 16 << 10;

/// A request of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Request {
    /// Maps and programs of the next generation, pinned in its folder.
    Table(Table),
    /// The configuration's file is read again; later requests are checked against it.
    Configuration,
    /// A file that the configuration names, opened to be read.
    File {
        /// Its path as the configuration has it.
        path: PathBuf,
    },
}

/// The next generation of the flow table. Flows, groups of fields and switches are those of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its number. The agent has made its folder, with the maps in it that both generations share.
    pub generation: u64,
    /// The number of the one that is filled now.
    pub last: u64,
    /// Partitions.
    pub partitions: u32,
    /// Octets of the ring buffer.
    pub ring: u32,
}

/// An answer of the loader. The first answer comes without a request, when it is confined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The loader is ready.
    Ready {
        /// Its capabilities, as the kernel's manual writes them.
        holds: Vec<String>,
        /// How it is confined, in words.
        confined: String,
    },
    /// The request is done.
    Done,
    /// There is no file of a configuration.
    NoFile,
    /// A descriptor is beside this message: of the file, or of memory with the text of the configuration.
    File,
    /// Nothing changed; why, in one line.
    Refused(String),
}

/// Sends a message.
///
/// # Errors
///
/// sendmsg(2)'s; `InvalidInput` where it would be longer than [`LONGEST`].
pub fn send(socket: impl AsFd, message: &impl Serialize, file: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    if text.len() > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("more than {LONGEST} octets")));
    }
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let files: Vec<BorrowedFd<'_>> = file.into_iter().collect();
    if !files.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&files));
    }
    // A peer that is gone is an error, no signal.
    sendmsg(socket, &[IoSlice::new(&text)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives a message; none at the end of the peer.
///
/// # Errors
///
/// recvmsg(2)'s; `InvalidData` where the message is none of these, or too long.
pub fn receive<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<Option<(T, Option<OwnedFd>)>> {
    let mut text = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(socket, &mut [IoSliceMut::new(&mut text)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut files = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    let file = files.next().and_then(|mut files| files.next());
    if received.bytes == 0 {
        return Ok(None);
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("more than {LONGEST} octets")));
    }
    let message = serde_json::from_slice(text.get(..received.bytes).unwrap_or_default());
    let message = message.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some((message, file)))
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read};

    use rustix::net::{AddressFamily, SocketFlags, SocketType, send as send_octets, socketpair};

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn requests_arrive_as_they_were_sent() {
        let (here, there) = pair();
        let table = Table { generation: 5, last: 4, partitions: 3, ring: 4096 };
        let file = Request::File { path: "/etc/flowxdp/ca.pem".into() };
        for request in [Request::Table(table), Request::Configuration, file] {
            send(&here, &request, None).unwrap();
            let (received, file) = receive::<Request>(&there).unwrap().unwrap();
            assert_eq!((received, file.is_some()), (request, false));
        }
        drop(here);
        assert!(receive::<Request>(&there).unwrap().is_none());
    }

    #[test]
    fn a_descriptor_comes_with_its_answer() {
        let (here, there) = pair();
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), "octets").unwrap();
        send(&here, &Answer::File, Some(File::open(path.path()).unwrap().as_fd())).unwrap();
        let (answer, file) = receive::<Answer>(&there).unwrap().unwrap();
        let mut text = String::new();
        File::from(file.unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!((answer, text.as_str()), (Answer::File, "octets"));
    }

    #[test]
    fn what_is_no_request_is_an_error_and_the_next_one_is_read() {
        let (here, there) = pair();
        let hostile =
            [&b"\"Attach\""[..], b"{\"File\":{\"path\":\"/\",\"mode\":2}}", b"\xff", b"[[[[[[", b"7"];
        for octets in hostile {
            send_octets(&here, octets, SendFlags::empty()).unwrap();
            assert_eq!(receive::<Request>(&there).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        send_octets(&here, &vec![b' '; LONGEST + 1], SendFlags::empty()).unwrap();
        let error = receive::<Request>(&there).unwrap_err();
        assert!(error.to_string().contains("more than"), "{error}");
        let long = Answer::Refused("x".repeat(LONGEST));
        assert_eq!(send(&here, &long, None).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        send(&here, &Request::Configuration, None).unwrap();
        assert_eq!(receive::<Request>(&there).unwrap().unwrap().0, Request::Configuration);
    }
}
