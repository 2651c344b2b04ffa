//! A small web server on loopback that answers http-01 challenges, rightly or wrongly.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode, header},
};
use parking_lot::Mutex;
use tokio::net::TcpListener;

/// What is answered under a path.
#[derive(Clone)]
pub enum Page {
    Body(Vec<u8>),
    Status(StatusCode),
    Redirect(String),
    Late(Duration),
}

/// A web server that knows the pages that it was given.
#[derive(Clone)]
pub struct WebServer {
    pub address: SocketAddr,
    pages: Arc<Mutex<HashMap<String, Page>>>,
    hits: Arc<AtomicUsize>,
}

impl WebServer {
    /// At an address; port 0 is any.
    pub async fn start(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            pages: Arc::default(),
            hits: Arc::default(),
        };
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    /// Answers the challenge with this token.
    pub fn respond(&self, token: &str, page: Page) {
        self.set(&format!("/.well-known/acme-challenge/{token}"), page);
    }

    pub fn set(&self, path: &str, page: Page) {
        self.pages.lock().insert(path.to_owned(), page);
    }

    /// How many requests came, whatever they asked for.
    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

async fn answer(State(server): State<WebServer>, request: Request) -> Response<Body> {
    server.hits.fetch_add(1, Ordering::SeqCst);
    let page = server.pages.lock().get(request.uri().path()).cloned();
    let mut response = Response::new(Body::empty());
    match page {
        None => *response.status_mut() = StatusCode::NOT_FOUND,
        Some(Page::Status(status)) => *response.status_mut() = status,
        Some(Page::Body(body)) => *response.body_mut() = Body::from(body),
        Some(Page::Redirect(location)) => {
            *response.status_mut() = StatusCode::FOUND;
            response
                .headers_mut()
                .insert(header::LOCATION, location.parse().unwrap());
        }
        Some(Page::Late(wait)) => tokio::time::sleep(wait).await,
    }
    response
}
