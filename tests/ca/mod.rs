//! The CAs of an authority, as operators handle them: real servers, real agents, real clients.

mod ceremony;
mod changes;
mod house;
mod import;
mod objects;
mod profiles;
mod request;
mod rotation;
