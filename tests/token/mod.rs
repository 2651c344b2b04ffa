//! CA keys in a token: SoftHSM2 as the token, p11-kit to put it behind another process, and the real server on top.

mod away;
mod config;
mod keys;
mod remote;
mod softhsm;
mod trouble;
