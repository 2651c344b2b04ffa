//! A small DNS server on loopback, whose answers a test can change.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{RData, Record, RecordType},
};
use parking_lot::Mutex;
use tokio::net::UdpSocket;

/// A name server that knows what it was told, and nothing else.
#[derive(Clone)]
pub struct NameServer {
    pub address: SocketAddr,
    zone: Arc<Mutex<HashMap<String, Vec<Vec<IpAddr>>>>>,
    queries: Arc<AtomicUsize>,
}

impl NameServer {
    pub async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: socket.local_addr().unwrap(),
            zone: Arc::default(),
            queries: Arc::default(),
        };
        let running = server.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let answer = running.answer(&buffer[..length]);
                let _ = socket.send_to(&answer, from).await;
            }
        });
        server
    }

    /// From now on, the name has these addresses.
    pub fn set(&self, name: &str, addresses: &[&str]) {
        self.set_in_turn(name, &[addresses]);
    }

    /// The first look-up gets the first addresses, the next one the next; the last ones stay.
    pub fn set_in_turn(&self, name: &str, turns: &[&[&str]]) {
        let turns = turns
            .iter()
            .map(|addresses| addresses.iter().map(|text| text.parse().unwrap()).collect())
            .collect();
        self.zone.lock().insert(format!("{name}."), turns);
    }

    /// How many questions for addresses there were.
    pub fn queries(&self) -> usize {
        self.queries.load(Ordering::SeqCst)
    }

    fn answer(&self, question: &[u8]) -> Vec<u8> {
        let question = Message::from_vec(question).unwrap();
        let query = question.queries[0].clone();
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.add_query(query.clone());
        let mut zone = self.zone.lock();
        match zone.get_mut(&query.name().to_ascii().to_lowercase()) {
            None => answer.metadata.response_code = ResponseCode::NXDomain,
            Some(turns) => {
                // A and AAAA of one look-up get the same turn: the turn ends with the question for A.
                let addresses = turns[0].clone();
                if query.query_type() == RecordType::A {
                    self.queries.fetch_add(1, Ordering::SeqCst);
                    if turns.len() > 1 {
                        turns.remove(0);
                    }
                }
                for address in addresses {
                    let data = RData::from(address);
                    if data.record_type() == query.query_type() {
                        answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
                    }
                }
            }
        }
        answer.to_vec().unwrap()
    }
}
