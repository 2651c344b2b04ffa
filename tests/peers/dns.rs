//! A DNS server that answers every name below `.test` (RFC 6761) with 127.0.0.1, and with the TXT records that clients put
//! into a folder: a file for each name, a value on each line.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tempfile::TempDir;

/// The server; it ends with this value.
pub struct Dns {
    records: TempDir,
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Dns {
    /// Serves on a free UDP port.
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let address = socket.local_addr().unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let records = tempfile::tempdir().unwrap();
        let folder = records.path().to_owned();
        let thread = thread::spawn(move || {
            let mut query = [0; 1232];
            while !stop.load(Ordering::SeqCst) {
                if let Ok((length, from)) = socket.recv_from(&mut query)
                    && let Some(answer) = answer(&query[..length], &folder)
                {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Self {
            records,
            address,
            stopping,
            thread: Some(thread),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients put TXT records.
    pub fn records(&self) -> &Path {
        self.records.path()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The answer to a query with one question (RFC 1035 section 4.1).
fn answer(query: &[u8], records: &Path) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    const A: [u8; 4] = [0, 1, 0, 1];
    const TXT: [u8; 4] = [0, 16, 0, 1];
    let mut labels: Vec<&[u8]> = Vec::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(query.get(at..at + length)?);
        at += length;
    }
    let question = query.get(HEADER..at + 4)?;
    let known = labels
        .last()
        .is_some_and(|label| label.eq_ignore_ascii_case(b"test"));
    let mut data: Vec<Vec<u8>> = Vec::new();
    if known && question.ends_with(&A) {
        data.push(vec![127, 0, 0, 1]);
    }
    if known && question.ends_with(&TXT) {
        let name: Vec<String> = labels
            .iter()
            .map(|label| String::from_utf8_lossy(label).to_ascii_lowercase())
            .collect();
        let values = fs::read_to_string(records.join(name.join("."))).unwrap_or_default();
        data.extend(values.lines().map(|value| {
            let value = value.as_bytes();
            [&[u8::try_from(value.len()).unwrap()], value].concat()
        }));
    }
    let mut answer = query.get(..2)?.to_vec();
    // A response, authoritative, recursion desired and available; NXDOMAIN (3) for what isn't below `.test`.
    answer.extend([0x85, if known { 0x80 } else { 0x83 }]);
    answer.extend([0, 1, 0, u8::try_from(data.len()).ok()?, 0, 0, 0, 0]);
    answer.extend(question);
    for data in data {
        // The question's name, type and class, one second, the data with its length.
        answer.extend([0xc0, HEADER as u8]);
        answer.extend(&question[question.len() - 4..]);
        answer.extend([0, 0, 0, 1]);
        answer.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
        answer.extend(data);
    }
    Some(answer)
}

#[test]
fn a_name_below_test_is_here_and_no_other() {
    let question = |name: &[u8], kind: u8| {
        [
            &[7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0],
            name,
            &[0, kind, 0, 1],
        ]
        .concat()
    };
    let records = tempfile::tempdir().unwrap();
    fs::write(records.path().join("_x.www.test"), "one\ntwo\n").unwrap();
    let answer = |query: &[u8]| answer(query, records.path());
    let known = answer(&question(b"\x03www\x04test\0", 1)).unwrap();
    assert_eq!(
        (known[3] & 15, &known[known.len() - 4..]),
        (0, &[127, 0, 0, 1][..])
    );
    let no_address = answer(&question(b"\x03www\x04test\0", 28)).unwrap();
    assert_eq!((no_address[3] & 15, no_address[7]), (0, 0));
    let unknown = answer(&question(b"\x03www\x07example\0", 1)).unwrap();
    assert_eq!((unknown[3] & 15, unknown[7]), (3, 0));
    let text = answer(&question(b"\x02_x\x03WWW\x04test\0", 16)).unwrap();
    assert_eq!((text[7], &text[text.len() - 4..]), (2, &b"\x03two"[..]));
    assert_eq!(answer(&[7, 7, 1]), None);
}
