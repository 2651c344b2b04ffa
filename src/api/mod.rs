//! The admin API: JSON over a Unix socket; `routes.rs` lists every route with the scope that it needs.
