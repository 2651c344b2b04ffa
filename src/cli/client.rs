//! The client of the admin API: JSON over the server's Unix socket.

use std::path::PathBuf;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;

use super::{Failure, block_on};
use crate::app::{StateDir, read_settings};

/// The way to a running server.
pub(super) struct Client {
    socket: PathBuf,
    state: StateDir,
}

impl Client {
    /// A client for the server of a state directory.
    pub(super) fn new(state: &StateDir) -> Result<Self, Failure> {
        let settings = read_settings(state).map_err(|error| Failure {
            code: error.exit_code(),
            message: error.to_string(),
        })?;
        Ok(Self {
            socket: settings.admin_socket,
            state: state.clone(),
        })
    }

    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::GET, path, Bytes::new())
    }

    pub(super) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(Failure::new)?;
        self.call(Method::POST, path, body.into())
    }

    fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, Failure> {
        let (status, body) = block_on(self.exchange(method, path, body))??;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| {
                Failure::new(format!("the server's answer can't be read: {error}"))
            });
        }
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let detail = problem
            .get("detail")
            .and_then(serde_json::Value::as_str)
            .map_or_else(
                || String::from_utf8_lossy(&body).into_owned(),
                str::to_owned,
            );
        Err(if status.is_client_error() {
            Failure::usage(detail)
        } else {
            Failure::new(detail)
        })
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "another crate's enum, which may grow"
    )]
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(http::StatusCode, Bytes), Failure> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| {
            let dir = self.state.path().display();
            Failure::new(match error.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => format!(
                    "no server answers at {}; start it: portcullis serve --dir {dir}",
                    self.socket.display()
                ),
                std::io::ErrorKind::PermissionDenied => format!(
                    "{} may be opened by its owner only; run this as the user that runs the server",
                    self.socket.display()
                ),
                _ => format!("{}: {error}", self.socket.display()),
            })
        })?;
        let broken = |error: hyper::Error| Failure::new(format!("the server went away: {error}"));
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "portcullis")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(Failure::new)?;
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(broken)?
            .to_bytes();
        Ok((status, body))
    }
}

/// A query of the pairs that have a value.
pub(super) fn query(pairs: &[(&str, Option<String>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.finish()
}
