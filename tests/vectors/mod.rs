//! Published cases of path validation, in x509-limbo's format: what others found out about what chains may and may not
//! be, and what implementations got wrong.
//!
//! The files are not part of this project. They are looked for in `$PORTCULLIS_VECTORS`, by default
//! `../shared/vectors`; where they are not, the tests say so and pass.

mod limbo;
