//! The agent as a program, against ACME servers that are not ours.

mod enrolment;
mod pebble;
mod renewal;
