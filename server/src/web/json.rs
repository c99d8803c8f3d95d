//! JSON bodies of the API: like axum's, but what cannot be read becomes one of our errors, with the
//! path of the field and what was wrong with it.

use crate::error::{Error, FieldError, Result};
use crate::name;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        use axum::extract::rejection::BytesRejection;
        let bytes =
            axum::body::Bytes::from_request(request, state).await.map_err(|error: BytesRejection| {
                Error::Refused { status: error.status(), code: "too-large", arguments: Vec::new() }
            })?;
        read(if bytes.is_empty() { b"{}" } else { &bytes }).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// Reads a body.  What the type does not know is refused where it stands, and so is an entry of a list that says nothing:
/// an empty list often means everything, and somebody who sends one empty entry does not mean that.
fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let whole: Value = serde_json::from_slice(bytes).map_err(|error| malformed("body".to_owned(), &error))?;
    if !matches!(whole, Value::Object(_)) {
        return Err(malformed("body".to_owned(), &serde::de::Error::custom("an object is expected")));
    }
    check_entries(&whole)?;
    // From the text again and not from the value: only the text still shows a field that was sent twice.
    let mut text = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut text)
        .map_err(|error| malformed(dotted(error.path()), error.inner()))
}

/// The same for a part of a body that was taken apart first.
pub fn read_value<T: DeserializeOwned>(value: Value) -> Result<T> {
    check_entries(&value)?;
    serde_path_to_error::deserialize(value).map_err(|error| malformed(dotted(error.path()), error.inner()))
}

fn check_entries(whole: &Value) -> Result<()> {
    let mut blank = Vec::new();
    blank_entries(&mut Vec::new(), whole, &mut blank);
    if blank.is_empty() { Ok(()) } else { Err(Error::Invalid(blank)) }
}

fn malformed(field: String, problem: &serde_json::Error) -> Error {
    Error::Invalid(vec![FieldError::new(field, "json").with("problem", problem)])
}

/// `inbound.0.peers`, as all our fields are named.
fn dotted(path: &Path) -> String {
    let segments: Vec<String> = path
        .iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Unknown => None,
        })
        .collect();
    if segments.is_empty() { "body".to_owned() } else { segments.join(".") }
}

/// Entries of lists, at any depth, that are nothing or only white space.
fn blank_entries(place: &mut Vec<String>, value: &Value, found: &mut Vec<FieldError>) {
    let mut look = |step: String, value: &Value, entry: bool| {
        place.push(step);
        let blank = match value {
            Value::Null => true,
            Value::String(text) => text.chars().all(name::is_blank),
            _ => false,
        };
        if entry && blank {
            found.push(FieldError::new(place.join("."), "entry-blank"));
        }
        blank_entries(place, value, found);
        place.pop();
    };
    match value {
        Value::Array(entries) => {
            entries.iter().enumerate().for_each(|(index, entry)| look(index.to_string(), entry, true));
        }
        Value::Object(fields) => fields.iter().for_each(|(key, field)| look(key.clone(), field, false)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Body {
        name: String,
        #[serde(default)]
        rules: Vec<Rule>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Rule {
        #[serde(default)]
        peers: Vec<String>,
    }

    fn refused(text: &str) -> (String, &'static str) {
        match read::<Body>(text.as_bytes()) {
            Err(Error::Invalid(problems)) => (problems[0].field.clone(), problems[0].code),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_is_wrong_with_a_body_is_told_where_it_stands() {
        for (text, field, code) in [
            (r#"{"name": 5}"#, "name", "json"),
            (r#"{"nam": "a"}"#, "nam", "json"),
            (r#"{"name": "a", "rules": [{"peer": []}]}"#, "rules.0.peer", "json"),
            (r#"{"name": "a", "rules": [{"peers": [5]}]}"#, "rules.0.peers.0", "json"),
            (r#"{"name": "a", "rules": [{"peers": [""]}]}"#, "rules.0.peers.0", "entry-blank"),
            (r#"{"name": "a", "rules": [{"peers": ["x", "\u200b "]}]}"#, "rules.0.peers.1", "entry-blank"),
            (r#"{"name": "a", "rules": [null]}"#, "rules.0", "entry-blank"),
            (r#"{"name": "a", "name": "b"}"#, "body", "json"),
            ("{", "body", "json"),
            ("[]", "body", "json"),
        ] {
            assert_eq!(refused(text), (field.to_owned(), code), "{text}");
        }
        assert!(read::<Body>(br#"{"name": "", "rules": [{"peers": ["x"]}, {}]}"#).is_ok());
    }
}
