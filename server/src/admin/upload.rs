//! An image that comes as a multipart form, from the page and from the API alike.

use crate::auth::Actor;
use crate::error::{Error, FieldError};
use crate::images::Image;
use crate::images::register::{self, ImageInput, Upload};
use crate::state::App;
use axum::extract::Multipart;
use std::collections::HashMap;

/// An upload that failed, with the fields that had arrived: the form comes back with them.
pub struct Refused {
    pub error: Error,
    pub fields: HashMap<String, String>,
}

/// Text fields of an image are short.
const MAX_FIELD_BYTES: usize = 1024;

/// Reads the fields, then streams the file.  The file comes last in the form, so that wrong fields
/// are told before gigabytes are sent.
pub async fn receive(app: &App, actor: &Actor, mut form: Multipart) -> Result<Image, Refused> {
    let mut fields = HashMap::new();
    match read(app, &mut form, &mut fields).await {
        Ok((input, upload)) => register::register(app, &actor.into(), &input, upload)
            .await
            .map_err(|error| Refused { error, fields }),
        Err(error) => Err(Refused { error, fields }),
    }
}

async fn read(
    app: &App,
    form: &mut Multipart,
    fields: &mut HashMap<String, String>,
) -> Result<(ImageInput, Upload), Error> {
    let broken = |_| Error::Invalid(vec![FieldError::new("file", "multipart")]);
    while let Some(mut field) = form.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or("").to_owned();
        if name != "file" {
            let mut text = Vec::new();
            while let Some(piece) = field.chunk().await.map_err(broken)? {
                text.extend_from_slice(&piece);
                if text.len() > MAX_FIELD_BYTES {
                    return Err(Error::Invalid(vec![
                        FieldError::new(name, "too-long").with("max", MAX_FIELD_BYTES),
                    ]));
                }
            }
            if !FIELDS.contains(&name.as_str()) {
                // A misspelt checksum, for one, would be believed to have been compared.
                let name: String = name.chars().take(60).collect();
                return Err(Error::Invalid(vec![FieldError::new(name, "form-unknown")]));
            }
            fields.insert(name, String::from_utf8_lossy(&text).into_owned());
            continue;
        }
        let input = input(fields)?;
        register::check(app, &input).await?;
        let mut upload = Upload::begin(app).await?;
        while let Some(piece) = field.chunk().await.map_err(broken)? {
            upload.write(&piece).await?;
        }
        return Ok((input, upload));
    }
    // Without a file: tell what else is missing at the same time.
    let mut problems = match input(fields) {
        Ok(input) => input.problems(),
        Err(Error::Invalid(problems)) => problems,
        Err(error) => return Err(error),
    };
    problems.push(FieldError::new("file", "required"));
    Err(Error::Invalid(problems))
}

/// What an upload may say beside the file.
const FIELDS: [&str; 8] =
    ["slug", "name", "os_family", "format", "min_memory_mib", "login_user", "public", "sort_order"];

/// The fields of a form as an image's description.  A checkbox that is off is absent.
pub fn input(fields: &HashMap<String, String>) -> Result<ImageInput, Error> {
    let text = |name: &str| fields.get(name).map_or("", |text| text.trim()).to_owned();
    let mut problems = Vec::new();
    let mut number = |name: &'static str, default: i64| match text(name).as_str() {
        "" => default,
        digits => digits.parse().unwrap_or_else(|_| {
            problems.push(FieldError::new(name, "number"));
            default
        }),
    };
    let min_memory_mib = number("min_memory_mib", 64);
    let sort_order = i32::try_from(number("sort_order", 0)).unwrap_or(i32::MAX);
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    Ok(ImageInput {
        slug: text("slug"),
        name: text("name"),
        os_family: text("os_family"),
        format: text("format"),
        min_memory_mib,
        login_user: text("login_user"),
        public: matches!(text("public").as_str(), "on" | "true"),
        sort_order,
    })
}
