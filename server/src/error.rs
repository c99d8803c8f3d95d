//! One error type for everything a request can run into.
//!
//! What callers are told and what the log says are apart: the first is a code, rendered in the
//! reader's language by [`crate::web::errors`] as a page or as `application/problem+json`; the
//! second is the chain of causes of [`Error::Internal`], logged once at that boundary.

use crate::ids::MalformedId;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Named values for a message: `[("free", "512")]`.
pub type Arguments = Vec<(&'static str, String)>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The name of the form field, or the path in the JSON body.
    pub field: String,
    /// Selects the message `invalid-<code>`.
    pub code: &'static str,
    pub arguments: Arguments,
}

impl FieldError {
    pub fn new(field: impl Into<String>, code: &'static str) -> Self {
        Self { field: field.into(), code, arguments: Vec::new() }
    }

    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.arguments.push((name, value.to_string()));
        self
    }
}

#[derive(Debug)]
pub enum Error {
    /// There is no such thing, or it is another tenant's: the two cannot be told apart.
    NotFound,
    /// Sign in first.
    Unauthenticated,
    /// Signed in, but this role or token may not do it.
    Forbidden,
    /// The input is wrong, field by field.
    Invalid(Vec<FieldError>),
    /// The input is fine and yet it cannot be done.  `code` selects the message `error-<code>`.
    Refused {
        status: StatusCode,
        code: &'static str,
        arguments: Arguments,
    },
    /// Too many attempts; try again after so many seconds.
    TooMany {
        retry_after: u64,
    },
    /// More is asked of the server at this moment than it does; try again after so many seconds.
    Busy {
        retry_after: u64,
    },
    Internal(anyhow::Error),
}

impl Error {
    pub fn invalid(field: impl Into<String>, code: &'static str) -> Self {
        Self::Invalid(vec![FieldError::new(field, code)])
    }

    /// 409: it contradicts the present state of things.
    pub fn conflict(code: &'static str) -> Self {
        Self::Refused { status: StatusCode::CONFLICT, code, arguments: Vec::new() }
    }

    /// 403 with a reason that the caller may know.
    pub fn refused(code: &'static str) -> Self {
        Self::Refused { status: StatusCode::FORBIDDEN, code, arguments: Vec::new() }
    }

    /// 401 with a reason: whoever asks did not prove who they are.
    pub fn denied(code: &'static str) -> Self {
        Self::Refused { status: StatusCode::UNAUTHORIZED, code, arguments: Vec::new() }
    }

    /// 502: somebody whom we need for it did not do their part.
    pub fn unavailable(code: &'static str) -> Self {
        Self::Refused { status: StatusCode::BAD_GATEWAY, code, arguments: Vec::new() }
    }

    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        if let Self::Refused { arguments, .. } = &mut self {
            arguments.push((name, value.to_string()));
        }
        self
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Refused { status, .. } => *status,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whether the database itself is away or overloaded: nothing can be done now, whatever it is.
    pub fn is_outage(&self) -> bool {
        use sqlx::Error as Sql;
        let Self::Internal(cause) = self else { return false };
        match cause.downcast_ref::<Sql>() {
            Some(Sql::Io(_) | Sql::Tls(_) | Sql::Protocol(_) | Sql::PoolTimedOut | Sql::PoolClosed) => true,
            Some(Sql::WorkerCrashed | Sql::BeginFailed) => true,
            // Connections refused or lost, a server that shuts down or has run out of something.
            Some(Sql::Database(error)) => error.code().is_some_and(|code| {
                ["08", "53", "58"].iter().any(|class| code.starts_with(class))
                    || matches!(&*code, "57P01" | "57P02" | "57P03" | "25006")
            }),
            _ => false,
        }
    }

    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::Invalid(_) => "invalid",
            Self::Refused { code, .. } => code,
            Self::TooMany { .. } => "too-many",
            Self::Busy { .. } => "busy",
            Self::Internal(_) => "internal",
        }
    }
}

/// The name of the database constraint that a statement ran into, if that is what happened.
/// Use cases turn the names they expect into errors at a field.
pub fn violated_constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(|error| error.constraint())
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::RowNotFound => Self::NotFound,
            // Postgres keeps no NUL characters; whoever sends one means no name or search of ours.
            error
                if error
                    .as_database_error()
                    .is_some_and(|error| error.code().as_deref() == Some("22021")) =>
            {
                Self::Refused {
                    status: StatusCode::UNPROCESSABLE_ENTITY,
                    code: "malformed",
                    arguments: Vec::new(),
                }
            }
            error => Self::Internal(error.into()),
        }
    }
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::Internal(error)
    }
}

/// A malformed identifier names nothing.
impl From<MalformedId> for Error {
    fn from(_: MalformedId) -> Self {
        Self::NotFound
    }
}

impl From<tower_sessions::session::Error> for Error {
    fn from(error: tower_sessions::session::Error) -> Self {
        Self::Internal(error.into())
    }
}

/// Handed to the outermost layer by way of the response's extensions: only there are the reader's
/// language and the kind of answer wanted known.
#[derive(Clone)]
pub struct ErrorToRender(pub std::sync::Arc<Error>);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(ErrorToRender(std::sync::Arc::new(self)));
        response
    }
}
