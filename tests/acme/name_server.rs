//! A small DNS server on loopback, over UDP and TCP, whose answers a test can change. It answers as a resolver does: a
//! CNAME with what it leads to.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{CNAME, TXT},
    },
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

/// What fits into an answer over UDP (RFC 1035 section 4.2.1).
const UDP_OCTETS: usize = 512;

/// A name server that knows what it was told, and nothing else.
#[derive(Clone)]
pub struct NameServer {
    pub address: SocketAddr,
    zone: Arc<Mutex<HashMap<String, Entry>>>,
    queries: Arc<AtomicUsize>,
}

/// What is known of a name.
#[derive(Clone, Default)]
struct Entry {
    addresses: Vec<Vec<IpAddr>>,
    texts: Vec<Vec<String>>,
    alias: Option<String>,
    fault: Option<ResponseCode>,
    silent: bool,
    delay: Duration,
}

impl NameServer {
    pub async fn start() -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (Arc::new(udp), tcp);
            }
        };
        let server = Self {
            address: udp.local_addr().unwrap(),
            zone: Arc::default(),
            queries: Arc::default(),
        };
        tokio::spawn(server.clone().serve_udp(udp));
        tokio::spawn(server.clone().serve_tcp(tcp));
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
        self.change(name, |entry| entry.addresses = turns);
    }

    /// The name has these TXT records, each of one string.
    pub fn set_texts(&self, name: &str, texts: &[&str]) {
        let texts = texts.iter().map(|text| vec![(*text).to_owned()]).collect();
        self.change(name, |entry| entry.texts = texts);
    }

    /// The name has one TXT record of these strings.
    pub fn set_text_in_parts(&self, name: &str, parts: &[&str]) {
        let parts = parts.iter().map(ToString::to_string).collect();
        self.change(name, |entry| entry.texts = vec![parts]);
    }

    /// The name is another name for `target`.
    pub fn set_alias(&self, name: &str, target: &str) {
        let target = format!("{target}.");
        self.change(name, |entry| entry.alias = Some(target));
    }

    /// Questions for the name are answered with an error.
    pub fn fail(&self, name: &str, fault: ResponseCode) {
        self.change(name, |entry| entry.fault = Some(fault));
    }

    /// Questions for the name are not answered at all.
    pub fn silence(&self, name: &str) {
        self.change(name, |entry| entry.silent = true);
    }

    /// Questions for the name are answered late.
    pub fn delay(&self, name: &str, delay: Duration) {
        self.change(name, |entry| entry.delay = delay);
    }

    /// How many questions for addresses there were.
    pub fn queries(&self) -> usize {
        self.queries.load(Ordering::SeqCst)
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Entry)) {
        change(self.zone.lock().entry(format!("{name}.")).or_default());
    }

    async fn serve_udp(self, socket: Arc<UdpSocket>) {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let (server, socket) = (self.clone(), Arc::clone(&socket));
            let question = buffer[..length].to_vec();
            tokio::spawn(async move {
                let Some(mut answer) = server.answer(&question).await else {
                    return;
                };
                let mut octets = answer.to_vec().unwrap();
                if octets.len() > UDP_OCTETS {
                    answer.answers.clear();
                    answer.metadata.truncation = true;
                    octets = answer.to_vec().unwrap();
                }
                let _ = socket.send_to(&octets, from).await;
            });
        }
    }

    async fn serve_tcp(self, listener: TcpListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            let server = self.clone();
            tokio::spawn(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut question = vec![0; length.into()];
                    stream.read_exact(&mut question).await.unwrap();
                    let Some(answer) = server.answer(&question).await else {
                        return;
                    };
                    let octets = answer.to_vec().unwrap();
                    stream
                        .write_u16(octets.len().try_into().unwrap())
                        .await
                        .unwrap();
                    stream.write_all(&octets).await.unwrap();
                }
            });
        }
    }

    async fn answer(&self, question: &[u8]) -> Option<Message> {
        let question = Message::from_vec(question).unwrap();
        let query = question.queries[0].clone();
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.add_query(query.clone());
        answer.metadata.recursion_available = true;
        let mut name = query.name().clone();
        // A chain of aliases ends somewhere, or it is cut off.
        for _ in 0..8 {
            let Some(entry) = self.entry(&name, query.query_type()) else {
                answer.metadata.response_code = ResponseCode::NXDomain;
                break;
            };
            tokio::time::sleep(entry.delay).await;
            if entry.silent {
                return None;
            }
            if let Some(fault) = entry.fault {
                answer.metadata.response_code = fault;
                break;
            }
            if let Some(target) = entry.alias {
                let target = Name::from_ascii(&target).unwrap();
                let alias = RData::CNAME(CNAME(target.clone()));
                answer.add_answer(Record::from_rdata(name, 60, alias));
                name = target;
                continue;
            }
            let addresses = entry.addresses.first().cloned().unwrap_or_default();
            let addresses = addresses.into_iter().map(RData::from);
            let texts = entry.texts.into_iter().map(|it| RData::TXT(TXT::new(it)));
            for data in addresses.chain(texts) {
                if data.record_type() == query.query_type() {
                    answer.add_answer(Record::from_rdata(name.clone(), 60, data));
                }
            }
            break;
        }
        Some(answer)
    }

    fn entry(&self, name: &Name, kind: RecordType) -> Option<Entry> {
        let mut zone = self.zone.lock();
        let entry = zone.get_mut(&name.to_ascii().to_lowercase())?;
        let now = entry.clone();
        // A and AAAA of one look-up get the same turn: the turn ends with the question for A.
        if kind == RecordType::A {
            self.queries.fetch_add(1, Ordering::SeqCst);
            if entry.addresses.len() > 1 {
                entry.addresses.remove(0);
            }
        }
        Some(now)
    }
}
