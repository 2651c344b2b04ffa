//! Fetching a published list over plain HTTP, as certificates name it (RFC 5280 section 4.2.1.13).

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};
use url::Url;

/// How long a server has to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most octets of a list: some ten million entries.
const MOST: usize = 512 << 20;

/// Fetches a URL; redirects are not followed.
///
/// # Errors
/// Why not, in words.
pub(super) async fn fetch(url: &str) -> Result<Bytes, String> {
    timeout(PATIENCE, exchange(url))
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
}

async fn exchange(text: &str) -> Result<Bytes, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if url.scheme() != "http" {
        return Err("lists are fetched by plain http; they are signed".to_owned());
    }
    let host = url.host_str().ok_or("there is no host in it")?;
    let port = url.port_or_known_default().unwrap_or(80);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((bare, port))
        .await
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let path = url[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
    let request = Request::get(path)
        .header(header::HOST, format!("{host}:{port}"))
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| error.to_string())?;
    if response.status() != StatusCode::OK {
        return Err(format!("the server answers {}", response.status()));
    }
    Limited::new(response.into_body(), MOST)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| error.to_string())
}
