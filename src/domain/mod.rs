//! The nouns and their rules: pure, without socket, database or clock.

pub mod account;
pub mod api_key;
pub mod audit;
pub mod authorization;
pub mod certificate;
pub mod challenge;
pub mod clock;
pub mod enrolment;
mod grammar;
pub mod id;
pub mod identifier;
pub mod invitation;
pub mod labels;
pub mod mapping;
pub mod order;
mod pattern;
pub mod principal;
pub mod request_path;
pub mod scope;
pub mod text;

pub use api_key::{ApiKey, ApiKeyDigest, ApiKeyId, ApiKeyKind, ApiKeyToken, Pepper, ServerRoot};
pub use clock::{Clock, Timestamp};
pub use grammar::GrammarError;
pub use labels::{LabelName, LabelValue, Labels, PrincipalState};
pub use mapping::AnchorId;
pub use principal::{Principal, PrincipalError, PrincipalKind, PrincipalPattern, TrustDomain};
pub use request_path::{NormalisedPath, PathError};
pub use scope::{Scope, ScopeError};
