//! What a validation meets: a name server for which every name is 127.0.0.1, and a web server that answers challenges.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    task::spawn_local,
};

/// Both servers; they end with the program.
pub struct World {
    challenges: Challenges,
}

/// What is answered to which token.
pub type Challenges = Rc<RefCell<HashMap<String, String>>>;

impl World {
    /// Starts them, at their well-known ports.
    pub async fn start() -> Self {
        let challenges = Challenges::default();
        let names = UdpSocket::bind("127.0.0.1:53").await.expect("port 53");
        spawn_local(answer_names(names));
        let web = TcpListener::bind("127.0.0.1:80").await.expect("port 80");
        let all = Rc::clone(&challenges);
        spawn_local(async move {
            while let Ok((stream, _)) = web.accept().await {
                spawn_local(answer_challenge(stream, Rc::clone(&all)));
            }
        });
        Self { challenges }
    }

    /// To be filled by whoever is challenged.
    pub fn challenges(&self) -> Challenges {
        Rc::clone(&self.challenges)
    }
}

/// Answers questions for an A record with 127.0.0.1, all others with none (RFC 1035 section 4.1).
async fn answer_names(socket: UdpSocket) {
    const HEADER: usize = 12;
    let mut question = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut question).await {
        // Type and class follow the zero that ends the name.
        let Some(end) = question[HEADER..length]
            .iter()
            .position(|octet| *octet == 0)
            .map(|at| HEADER + at + 5)
            .filter(|end| *end <= length)
        else {
            continue;
        };
        let is_a = question[end - 4..end - 2] == [0, 1];
        let mut answer = question[..end].to_vec();
        answer[2..HEADER].copy_from_slice(&[0x85, 0x80, 0, 1, 0, is_a.into(), 0, 0, 0, 0]);
        if is_a {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
        }
        let _ = socket.send_to(&answer, from).await;
    }
}

/// The last part of the path is the token (RFC 8555 section 8.3).
async fn answer_challenge(mut stream: TcpStream, challenges: Challenges) {
    let mut request = Vec::with_capacity(1024);
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_buf(&mut request).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let head = String::from_utf8_lossy(&request);
    let path = head.split(' ').nth(1).unwrap_or_default();
    let token = path.rsplit('/').next().unwrap_or_default();
    let body = challenges.borrow().get(token).cloned();
    let (status, body) = body.map_or(("404 Not Found", String::new()), |body| ("200 OK", body));
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}
