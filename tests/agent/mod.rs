//! The agent as a program: against our own server, with and without trouble on purpose (`serve --chaos`), and against one
//! that isn't ours.

/// Tests that hold against Pebble and against our own server when it makes trouble on purpose.
macro_rules! against_pebble_and_chaos {
    ($($name:ident)+) => { $(
        mod $name {
            use crate::agent::other_side::Against;

            #[test]
            fn pebble() {
                super::$name(Against::Pebble);
            }

            #[test]
            fn chaos() {
                super::$name(Against::Chaos);
            }
        }
    )+ };
}

/// Tests that hold against our own server, whether it makes trouble on purpose or not.
macro_rules! with_and_without_chaos {
    ($($name:ident)+) => { $(
        mod $name {
            use crate::agent::other_side::Trouble;

            #[test]
            fn plain() {
                super::$name(Trouble::None);
            }

            #[test]
            fn chaos() {
                super::$name(Trouble::OnPurpose);
            }
        }
    )+ };
}

mod enrolment;
mod invitation;
mod other_side;
mod pebble;
mod renewal;
mod renewal_info;
mod rotation;
mod server;
mod trust_bundle;
