//! The demo's API: it tells what it hears of its caller, and with `?watch` it goes on telling.

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{OriginalUri, RawQuery},
    http::{HeaderMap, Method},
    response::{IntoResponse, Response},
    routing::any,
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Serves until it is ended.
pub(super) async fn serve(address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    axum::serve(listener, Router::new().fallback(any(answer))).await
}

async fn answer(
    method: Method,
    OriginalUri(uri): OriginalUri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let heard = |name: &str| -> Value {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map_or(Value::Null, Value::from)
    };
    let told = json!({
        "method": method.as_str(),
        "path": uri.path(),
        "principal": heard("portcullis-principal"),
        "scope": heard("portcullis-scope"),
        "body": String::from_utf8_lossy(&body),
    });
    if query.as_deref() != Some("watch") {
        return told.to_string().into_response();
    }
    let lines = stream::unfold(0_u32, move |count| {
        let line = format!("{told}\n");
        async move {
            if count > 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Some((Ok::<_, io::Error>(line), count + 1))
        }
    });
    Body::from_stream(lines).into_response()
}
