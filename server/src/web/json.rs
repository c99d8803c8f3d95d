//! JSON bodies of the API: like axum's, but what cannot be read becomes one of our errors, with the
//! path of the field and what was wrong with it.

use crate::error::{Error, FieldError};
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        use axum::extract::rejection::BytesRejection;
        let bytes =
            axum::body::Bytes::from_request(request, state).await.map_err(|error: BytesRejection| {
                Error::Refused { status: error.status(), code: "too-large", arguments: Vec::new() }
            })?;
        let body = if bytes.is_empty() { &b"{}"[..] } else { &bytes };
        serde_json::from_slice(body)
            .map(Json)
            .map_err(|error| Error::Invalid(vec![FieldError::new("body", "json").with("problem", error)]))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}
