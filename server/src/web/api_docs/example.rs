//! Examples and names of types, out of a schema.

use serde_json::{Map, Value, json};

/// Deeper than any of our documents; a schema that refers to itself ends here.
const DEPTH: u32 = 8;

/// A document that fits the schema: with the examples that stand in it, and plain values elsewhere.
pub fn example(document: &Value, schema: &Value) -> Value {
    at_depth(document, schema, DEPTH)
}

fn at_depth(document: &Value, schema: &Value, depth: u32) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    if let Some(given) =
        schema.get("example").or_else(|| schema["examples"].get(0)).or_else(|| schema.get("default"))
    {
        return given.clone();
    }
    if let Some(reference) = schema["$ref"].as_str() {
        return document
            .pointer(reference.trim_start_matches('#'))
            .map_or(Value::Null, |schema| at_depth(document, schema, depth - 1));
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut fields = Map::new();
        for part in parts {
            if let Value::Object(more) = at_depth(document, part, depth - 1) {
                fields.extend(more);
            }
        }
        return Value::Object(fields);
    }
    if let Some(first) =
        schema["oneOf"].as_array().and_then(|all| all.iter().find(|one| one["type"] != "null"))
    {
        return at_depth(document, first, depth - 1);
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match plain_type(schema) {
        "object" => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            fields.map(|(name, schema)| (name.clone(), at_depth(document, schema, depth - 1))).collect()
        }
        "array" => json!([at_depth(document, &schema["items"], depth - 1)]),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(0)),
        "boolean" => json!(false),
        "string" if schema["format"] == "date-time" => json!("2026-11-23T08:00:00Z"),
        "string" => json!("…"),
        _ => Value::Null,
    }
}

/// `string`, `list of Plan`, `integer, 1 to 128` …
pub fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap_or("").to_owned();
    }
    if let Some(all) = schema["oneOf"].as_array() {
        let kinds: Vec<String> = all.iter().filter(|one| one["type"] != "null").map(kind).collect();
        return kinds.join(" or ");
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        return values.join(" | ");
    }
    let name = plain_type(schema);
    if name == "array" {
        return format!("list of {}", kind(&schema["items"]));
    }
    let range = match (&schema["minimum"], &schema["maximum"]) {
        (Value::Number(min), Value::Number(max)) => format!(", {min} to {max}"),
        (Value::Number(min), _) => format!(", at least {min}"),
        (_, Value::Number(max)) => format!(", at most {max}"),
        _ => String::new(),
    };
    format!("{name}{range}")
}

/// The type beside `null`, where both are allowed.
fn plain_type(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(name) => name,
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("any")
        }
        _ if schema.get("properties").is_some() => "object",
        _ => "any",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_follow_references_and_end() {
        let document = json!({ "components": { "schemas": {
            "Node": { "type": "object", "properties": {
                "name": { "type": "string", "example": "a" },
                "size": { "type": ["integer", "null"], "minimum": 1, "maximum": 9 },
                "next": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Node" }] },
            } },
        } } });
        let schema = json!({ "type": "array", "items": { "$ref": "#/components/schemas/Node" } });
        let shown = example(&document, &schema);
        assert_eq!((&shown[0]["name"], &shown[0]["size"]), (&json!("a"), &json!(1)));
        assert_eq!(shown[0]["next"]["name"], "a");
        assert_eq!(kind(&schema), "list of Node");
        assert_eq!(kind(&document["components"]["schemas"]["Node"]["properties"]["size"]), "integer, 1 to 9");
    }
}
