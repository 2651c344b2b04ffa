//! A DNS server that answers every name below `.test` (RFC 6761) with 127.0.0.1.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// The server; it ends with this value.
pub struct Dns {
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
        let thread = thread::spawn(move || {
            let mut query = [0; 1232];
            while !stop.load(Ordering::SeqCst) {
                if let Ok((length, from)) = socket.recv_from(&mut query)
                    && let Some(answer) = answer(&query[..length])
                {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Self {
            address,
            stopping,
            thread: Some(thread),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
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
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    const A: [u8; 4] = [0, 1, 0, 1];
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
    let address = known && question.ends_with(&A);
    let mut answer = query.get(..2)?.to_vec();
    // A response, authoritative, recursion desired and available; NXDOMAIN (3) for what isn't below `.test`.
    answer.extend([0x85, if known { 0x80 } else { 0x83 }]);
    answer.extend([0, 1, 0, u8::from(address), 0, 0, 0, 0]);
    answer.extend(question);
    if address {
        // The question's name, A, IN, one second, four octets.
        answer.extend([
            0xc0,
            HEADER as u8,
            0,
            1,
            0,
            1,
            0,
            0,
            0,
            1,
            0,
            4,
            127,
            0,
            0,
            1,
        ]);
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
    let known = answer(&question(b"\x03www\x04test\0", 1)).unwrap();
    assert_eq!(
        (known[3] & 15, &known[known.len() - 4..]),
        (0, &[127, 0, 0, 1][..])
    );
    let no_address = answer(&question(b"\x03www\x04test\0", 28)).unwrap();
    assert_eq!((no_address[3] & 15, no_address[7]), (0, 0));
    let unknown = answer(&question(b"\x03www\x07example\0", 1)).unwrap();
    assert_eq!((unknown[3] & 15, unknown[7]), (3, 0));
    assert_eq!(answer(&[7, 7, 1]), None);
}
