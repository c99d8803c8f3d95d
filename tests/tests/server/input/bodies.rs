//! Calls and their bodies, as the description of an API has them.

use reqwest::Method;
use serde_json::{Map, Value, json};

pub struct Calls {
    document: Value,
    pub all: Vec<Call>,
}

#[derive(Clone)]
pub struct Call {
    pub method: Method,
    /// With a name of nothing for every parameter.
    pub path: String,
    pub query: Vec<String>,
    schema: Option<Value>,
}

impl Calls {
    pub fn of(document: Value) -> Self {
        let mut all = Vec::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                let query = parameters.iter().filter(|parameter| parameter["in"] == "query");
                let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                all.push(Call {
                    method: method.to_uppercase().parse().expect("a method"),
                    path: filled(path),
                    query: query.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect(),
                    schema: (!schema.is_null()).then(|| schema.clone()),
                });
            }
        }
        Self { document, all }
    }

    pub fn with_body(&self) -> Vec<Call> {
        self.all.iter().filter(|call| call.schema.is_some()).cloned().collect()
    }

    /// A body that has every field that must be there, and every object and list.
    pub fn body(&self, call: &Call) -> Value {
        self.value(call.schema.as_ref().expect("it has a body"))
    }

    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => {
                self.document.pointer(reference.trim_start_matches('#')).expect("the reference")
            }
            None => schema,
        }
    }

    fn value(&self, schema: &Value) -> Value {
        let schema = self.resolved(schema);
        if let Some(parts) = schema["allOf"].as_array() {
            let mut whole = Map::new();
            for part in parts {
                whole.extend(self.value(part).as_object().cloned().unwrap_or_default());
            }
            return whole.into();
        }
        if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
            let choice = choices.iter().find(|choice| choice["type"] != "null").expect("a choice");
            return self.value(choice);
        }
        if let Some(first) = schema["enum"].get(0) {
            return first.clone();
        }
        match kind(schema) {
            "object" => self.object(schema),
            "array" => match &schema["items"] {
                items if items.is_object() => json!([self.value(items)]),
                _ => json!([]),
            },
            "boolean" => json!(false),
            "integer" | "number" => json!(schema["minimum"].as_i64().unwrap_or(1)),
            _ if schema["format"] == "date-time" => json!("2026-12-01T00:00:00Z"),
            _ => schema["example"].as_str().map_or(json!("x"), Value::from),
        }
    }

    fn object(&self, schema: &Value) -> Value {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let mut object = Map::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let value = self.value(property);
            if required.iter().any(|one| one == name) || value.is_object() || value.is_array() {
                object.insert(name.clone(), value);
            }
        }
        object.into()
    }
}

/// The type of a schema that may also be null.
fn kind(schema: &Value) -> &str {
    let kinds = schema["type"].as_array();
    let first = kinds.and_then(|kinds| kinds.iter().find(|kind| *kind != "null")).unwrap_or(&schema["type"]);
    first.as_str().unwrap_or(if schema["properties"].is_object() { "object" } else { "string" })
}

fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        // The only one that is read before the body.
        "{provider}" => "stripe",
        part if part.starts_with('{') => "nothing",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Where objects stand in a body, itself first.
pub fn objects(body: &Value) -> Vec<String> {
    places(body, &Value::is_object)
}

/// Where lists stand in a body.
pub fn lists(body: &Value) -> Vec<String> {
    places(body, &Value::is_array)
}

fn places(value: &Value, wanted: &dyn Fn(&Value) -> bool) -> Vec<String> {
    let mut found = if wanted(value) { vec![String::new()] } else { Vec::new() };
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, field)| (name.clone(), field)).collect(),
        Value::Array(entries) => {
            entries.iter().enumerate().map(|(index, entry)| (index.to_string(), entry)).collect()
        }
        _ => Vec::new(),
    };
    for (step, value) in below {
        found.extend(places(value, wanted).into_iter().map(|place| format!("/{step}{place}")));
    }
    found
}
