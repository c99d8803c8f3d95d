//! The document, shaped for the page.

use super::example::{example, kind};
use serde_json::Value;

/// A piece of a sentence; descriptions use `code` and **bold** and nothing else of Markdown.
#[derive(Debug, PartialEq)]
pub enum Piece {
    Text(String),
    Code(String),
    Bold(String),
}

pub type Paragraph = Vec<Piece>;

#[derive(Default)]
pub struct Reference {
    pub introduction: String,
    pub groups: Vec<Group>,
    pub schemas: Vec<Schema>,
}

pub struct Group {
    pub name: String,
    pub anchor: String,
    pub operations: Vec<Operation>,
}

pub struct Operation {
    pub method: String,
    pub path: String,
    pub anchor: String,
    pub summary: String,
    pub description: Vec<Paragraph>,
    pub needs_token: bool,
    pub parameters: Vec<Field>,
    pub bodies: Vec<Body>,
    pub responses: Vec<Answer>,
}

/// What may be sent, in one content type.
pub struct Body {
    pub content_type: String,
    pub kind: String,
    pub schema: Option<String>,
    pub example: String,
}

pub struct Answer {
    pub status: String,
    pub description: Vec<Paragraph>,
    pub kind: String,
    pub schema: Option<String>,
    pub example: String,
}

pub struct Schema {
    pub name: String,
    pub description: Vec<Paragraph>,
    pub kind: String,
    pub fields: Vec<Field>,
}

pub struct Field {
    pub name: String,
    /// Where a parameter stands: path, query or header.
    pub place: String,
    pub kind: String,
    pub schema: Option<String>,
    pub required: bool,
    pub description: Vec<Paragraph>,
}

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

impl Reference {
    pub fn of(document: &Value) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for method in METHODS {
                let Some(operation) = item.get(method) else { continue };
                let name = &heading(operation["tags"][0].as_str().unwrap_or("other"));
                let made = Operation::of(document, method, path, operation);
                match groups.iter_mut().find(|group| group.name == *name) {
                    Some(group) => group.operations.push(made),
                    None => groups.push(Group {
                        name: name.to_owned(),
                        anchor: anchor(name),
                        operations: vec![made],
                    }),
                }
            }
        }
        // What customers use stands before what administrators use.
        groups.sort_by_key(|group| (group.name.starts_with("Administration"), group.name.clone()));
        let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
        Self {
            introduction: document["info"]["description"].as_str().unwrap_or("").to_owned(),
            groups,
            schemas: schemas.map(|(name, schema)| Schema::of(name, schema)).collect(),
        }
    }
}

impl Operation {
    fn of(document: &Value, method: &str, path: &str, operation: &Value) -> Self {
        let id = operation["operationId"].as_str().map_or_else(|| format!("{method} {path}"), str::to_owned);
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let bodies = operation["requestBody"]["content"].as_object().into_iter().flatten();
        let responses = operation["responses"].as_object().into_iter().flatten();
        Self {
            method: method.to_uppercase(),
            path: path.to_owned(),
            anchor: anchor(&id),
            summary: operation["summary"].as_str().unwrap_or(path).trim_end_matches('.').replace('`', ""),
            description: paragraphs(operation["description"].as_str().unwrap_or("")),
            needs_token: operation.get("security").is_none(),
            parameters: parameters.map(Field::of_parameter).collect(),
            bodies: bodies
                .map(|(content_type, content)| {
                    let given = operation["requestBody"]["content"][content_type].get("example");
                    let shown = given.cloned().unwrap_or_else(|| example(document, &content["schema"]));
                    Body {
                        content_type: content_type.clone(),
                        kind: kind(&content["schema"]),
                        schema: named(&content["schema"]),
                        example: pretty(&shown),
                    }
                })
                .collect(),
            responses: responses.map(|(status, answer)| Answer::of(document, status, answer)).collect(),
        }
    }

    /// A call as one would type it.
    pub fn curl(&self, server: &str) -> String {
        let mut lines = vec![format!("curl -X {} {server}{}", self.method, self.path)];
        if self.needs_token {
            lines.push("-H \"Authorization: Bearer $JST_TOKEN\"".to_owned());
        }
        if let Some(body) = self.bodies.iter().find(|body| body.content_type == "application/json") {
            lines.push("-H 'Content-Type: application/json'".to_owned());
            lines.push(format!("-d '{}'", body.example));
        }
        lines.join(" \\\n  ")
    }
}

impl Answer {
    fn of(document: &Value, status: &str, answer: &Value) -> Self {
        let content = answer["content"].as_object().into_iter().flatten().next();
        let schema = content.map(|(_, content)| &content["schema"]);
        // Problem documents look alike; the page shows one of them.
        let shown = schema.filter(|_| status.starts_with('2')).map(|schema| example(document, schema));
        Self {
            status: status.to_owned(),
            description: paragraphs(answer["description"].as_str().unwrap_or("")),
            kind: schema.map(kind).unwrap_or_default(),
            schema: schema.and_then(named),
            example: shown.as_ref().map(pretty).unwrap_or_default(),
        }
    }
}

impl Schema {
    fn of(name: &str, schema: &Value) -> Self {
        // A flattened structure is an allOf of its parts.
        let mut parts = vec![schema];
        parts.extend(schema["allOf"].as_array().into_iter().flatten());
        let fields = parts
            .iter()
            .flat_map(|part| {
                part["properties"].as_object().into_iter().flatten().map(move |field| (part, field))
            })
            .map(|(part, (name, property))| {
                let required =
                    part["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
                Field {
                    name: name.clone(),
                    place: String::new(),
                    kind: kind(property),
                    schema: named(property),
                    required,
                    description: paragraphs(property["description"].as_str().unwrap_or("")),
                }
            })
            .collect();
        Self {
            name: name.to_owned(),
            description: paragraphs(schema["description"].as_str().unwrap_or("")),
            kind: kind(schema),
            fields,
        }
    }
}

impl Field {
    fn of_parameter(parameter: &Value) -> Self {
        Self {
            name: parameter["name"].as_str().unwrap_or("").to_owned(),
            place: parameter["in"].as_str().unwrap_or("").to_owned(),
            kind: kind(&parameter["schema"]),
            schema: named(&parameter["schema"]),
            required: parameter["required"] == true,
            description: paragraphs(parameter["description"].as_str().unwrap_or("")),
        }
    }
}

/// The name of the schema that this one refers to, itself or as a list.
fn named(schema: &Value) -> Option<String> {
    let reference = schema["$ref"]
        .as_str()
        .or_else(|| schema["items"]["$ref"].as_str())
        .or_else(|| schema["oneOf"].as_array().into_iter().flatten().find_map(|one| one["$ref"].as_str()))?;
    reference.rsplit('/').next().map(str::to_owned)
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// A tag as a heading: `ssh-keys` is `SSH keys`.
fn heading(tag: &str) -> String {
    let words = tag.replace('-', " ");
    if let Some(rest) = words.strip_prefix("ssh ") {
        return format!("SSH {rest}");
    }
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn anchor(text: &str) -> String {
    let plain = text.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    plain.trim_matches('-').to_owned()
}

/// Sentences with their `code` and **bold** taken apart, so that the template escapes each piece.
pub fn paragraphs(text: &str) -> Vec<Paragraph> {
    let blocks = text.split("\n\n").map(str::trim).filter(|block| !block.is_empty());
    blocks.map(|block| pieces(&block.replace('\n', " "))).collect()
}

fn pieces(text: &str) -> Paragraph {
    let mut pieces = Vec::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            pieces.push(Piece::Code(part.to_owned()));
            continue;
        }
        for (index, part) in part.split("**").enumerate().filter(|(_, part)| !part.is_empty()) {
            let part = part.to_owned();
            pieces.push(if index % 2 == 1 { Piece::Bold(part) } else { Piece::Text(part) });
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_taken_apart() {
        let text = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(
            paragraphs("**Lists** hold\nthe newest. `next_cursor` goes on.\n\nSecond."),
            [
                vec![
                    Piece::Bold("Lists".into()),
                    text(" hold the newest. "),
                    Piece::Code("next_cursor".into()),
                    text(" goes on.")
                ],
                vec![text("Second.")],
            ]
        );
    }
}
