//! The variable parts of a resource's path.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// As `axum::extract::Path`, but what can't be read (a part that is no UTF-8) is a resource that there isn't, told in
/// a problem document like every other error.
pub struct ResourcePath<T>(pub T);

impl<T, S> FromRequestParts<S> for ResourcePath<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Path::from_request_parts(parts, state)
            .await
            .map(|Path(path)| Self(path))
            .map_err(|_| Problem::not_found("resource"))
    }
}
