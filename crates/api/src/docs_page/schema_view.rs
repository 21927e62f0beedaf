//! Schemas as tables, as links, and as examples.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::Value;
use utoipa::openapi::{
    OpenApi, RefOr, Response,
    schema::{AdditionalProperties, ArrayItems, Object, Schema, SchemaType, Type},
};

use super::{escaped, prose, put};

/// How deep examples go; no schema of the API refers to itself, this is for the day one does.
const EXAMPLE_DEPTH_MAX: usize = 6;

/// The components that other parts of a document refer to.
pub(super) struct Schemas<'a> {
    schemas: &'a BTreeMap<String, RefOr<Schema>>,
    responses: &'a BTreeMap<String, RefOr<Response>>,
}

static NO_SCHEMAS: BTreeMap<String, RefOr<Schema>> = BTreeMap::new();
static NO_RESPONSES: BTreeMap<String, RefOr<Response>> = BTreeMap::new();

impl<'a> Schemas<'a> {
    /// Those of a document.
    pub(super) fn of(api: &'a OpenApi) -> Self {
        let components = api.components.as_ref();
        Self {
            schemas: components.map_or(&NO_SCHEMAS, |components| &components.schemas),
            responses: components.map_or(&NO_RESPONSES, |components| &components.responses),
        }
    }

    /// A response, be it referred to or not.
    pub(super) fn response<'b>(&'b self, response: &'b RefOr<Response>) -> Option<&'b Response> {
        match response {
            RefOr::T(response) => Some(response),
            RefOr::Ref(reference) => match self.responses.get(name_in(&reference.ref_location))? {
                RefOr::T(response) => Some(response),
                RefOr::Ref(_) => None,
            },
        }
    }

    /// Every schema, with its members.
    pub(super) fn all(&self, page: &mut String) {
        for (name, schema) in self.schemas {
            let name = escaped(name);
            put(
                page,
                format_args!("<details id=\"schema-{name}\">\n<summary>{name}</summary>\n"),
            );
            if let RefOr::T(schema) = schema {
                page.push_str(&prose(description(schema)));
                let rows = self.rows(schema);
                if rows.is_empty() {
                    put(page, format_args!("<p>{}</p>\n", plain_kind(schema)));
                } else {
                    put(
                        page,
                        format_args!("<div class=\"table\"><table>\n{rows}</table></div>\n"),
                    );
                }
            }
            page.push_str("</details>\n");
        }
    }

    /// An example as indented JSON, in the order in which the members are described.
    pub(super) fn example(&self, schema: &RefOr<Schema>) -> String {
        let mut json = String::new();
        self.write_example(&mut json, schema, 0);
        json
    }

    fn rows(&self, schema: &Schema) -> String {
        match schema {
            Schema::Object(object) => object
                .properties
                .iter()
                .map(|(name, value)| row(name, value, object.required.contains(name)))
                .collect(),
            Schema::AllOf(all) => all
                .items
                .iter()
                .filter_map(|item| self.resolved(item))
                .map(|item| self.rows(item))
                .collect(),
            _ => String::new(),
        }
    }

    fn resolved<'b>(&'b self, schema: &'b RefOr<Schema>) -> Option<&'b Schema> {
        match schema {
            RefOr::T(schema) => Some(schema),
            RefOr::Ref(reference) => match self.schemas.get(name_in(&reference.ref_location))? {
                RefOr::T(schema) => Some(schema),
                RefOr::Ref(_) => None,
            },
        }
    }

    fn write_example(&self, json: &mut String, schema: &RefOr<Schema>, depth: usize) {
        match self.resolved(schema) {
            Some(Schema::Object(object)) if object.properties.is_empty() => {
                json.push_str(&leaf_example(object));
            }
            Some(Schema::Object(object)) if depth < EXAMPLE_DEPTH_MAX => {
                json.push('{');
                for (index, (name, value)) in object.properties.iter().enumerate() {
                    json.push_str(if index > 0 { "," } else { "" });
                    let (indent, name) = ("  ".repeat(depth + 1), Value::from(name.as_str()));
                    // Writing to a String cannot fail.
                    let _ = write!(json, "\n{indent}{name}: ");
                    self.write_example(json, value, depth + 1);
                }
                let _ = write!(json, "\n{}}}", "  ".repeat(depth));
            }
            Some(Schema::Array(array)) => match (&array.example, array.examples.first()) {
                (Some(example), _) | (None, Some(example)) => json.push_str(&example.to_string()),
                (None, None) => {
                    json.push('[');
                    if let ArrayItems::RefOrSchema(items) = &array.items {
                        self.write_example(json, items, depth);
                    }
                    json.push(']');
                }
            },
            Some(Schema::OneOf(one)) => {
                let named = one.items.iter().find(|item| kind(item) != "null");
                match named {
                    Some(item) => self.write_example(json, item, depth),
                    None => json.push_str("null"),
                }
            }
            _ => json.push_str("{}"),
        }
    }
}

fn row(name: &str, value: &RefOr<Schema>, required: bool) -> String {
    let need = if required {
        "<span class=\"need\">required</span>"
    } else {
        ""
    };
    let text = match value {
        RefOr::T(schema) => description(schema),
        RefOr::Ref(reference) => &reference.description,
    };
    format!(
        "<tr><th><code>{}</code>{need}<span class=\"kind\">{}</span></th><td>{}{}</td></tr>\n",
        escaped(name),
        kind(value),
        prose(text),
        limits(value),
    )
}

/// What kind of value, in a word or two; a link where it has a name.
pub(super) fn kind(schema: &RefOr<Schema>) -> String {
    match schema {
        RefOr::Ref(reference) => {
            let name = escaped(name_in(&reference.ref_location));
            format!("<a href=\"#schema-{name}\">{name}</a>")
        }
        RefOr::T(Schema::Array(array)) => match &array.items {
            ArrayItems::RefOrSchema(items) => format!("array of {}", kind(items)),
            ArrayItems::False => "array".to_owned(),
        },
        RefOr::T(Schema::OneOf(one)) => {
            let mut kinds: Vec<String> = one.items.iter().map(kind).collect();
            // Null is said last.
            kinds.sort_by_key(|kind| kind == "null");
            kinds.join(" or ")
        }
        RefOr::T(schema) => plain_kind(schema),
    }
}

/// The limits of a value: range, default, pattern.
pub(super) fn limits(schema: &RefOr<Schema>) -> String {
    let RefOr::T(Schema::Object(object)) = schema else {
        return String::new();
    };
    let number = |number: &Option<utoipa::Number>| {
        number
            .as_ref()
            .and_then(|number| serde_json::to_string(number).ok())
    };
    let code = |value: &Value| format!("<code>{}</code>", escaped(&value.to_string()));
    let limits: Vec<String> = [
        number(&object.minimum).map(|least| format!("at least {least}")),
        number(&object.maximum).map(|most| format!("at most {most}")),
        object
            .min_length
            .map(|least| format!("at least {least} characters")),
        object
            .max_length
            .map(|most| format!("at most {most} characters")),
        object
            .default
            .as_ref()
            .map(|value| format!("default {}", code(value))),
        example_of(object).map(|value| format!("for example {}", code(value))),
    ]
    .into_iter()
    .flatten()
    .collect();
    if limits.is_empty() {
        String::new()
    } else {
        format!("<p class=\"more\">{}</p>", limits.join("; "))
    }
}

fn leaf_example(object: &Object) -> String {
    if let Some(value) = example_of(object).or(object.default.as_ref()) {
        return value.to_string();
    }
    match kinds(&object.schema_type).first() {
        _ if is_time(object) => r#""2026-11-23T08:30:00.000Z""#.to_owned(),
        Some(Type::String) => r#""…""#.to_owned(),
        Some(Type::Integer | Type::Number) => "0".to_owned(),
        Some(Type::Boolean) => "true".to_owned(),
        Some(Type::Array) => "[]".to_owned(),
        Some(Type::Null) => "null".to_owned(),
        Some(Type::Object) | None => "{}".to_owned(),
    }
}

fn is_time(object: &Object) -> bool {
    plain_kind(&Schema::Object(object.clone())).contains("date-time")
}

fn example_of(object: &Object) -> Option<&Value> {
    object.example.as_ref().or(object.examples.first())
}

fn kinds(schema_type: &SchemaType) -> Vec<Type> {
    match schema_type {
        SchemaType::Type(one) => vec![one.clone()],
        SchemaType::Array(several) => several.clone(),
        SchemaType::AnyValue => Vec::new(),
    }
}

fn plain_kind(schema: &Schema) -> String {
    let Schema::Object(object) = schema else {
        return "object".to_owned();
    };
    let words = kinds(&object.schema_type)
        .into_iter()
        .map(|kind| match kind {
            Type::Object => "object",
            Type::String => "string",
            Type::Integer => "integer",
            Type::Number => "number",
            Type::Boolean => "boolean",
            Type::Array => "array",
            Type::Null => "null",
        });
    let mut text = words.collect::<Vec<_>>().join(" or ");
    if text.is_empty() {
        text.push_str("any value");
    }
    let format = serde_json::to_value(&object.format).unwrap_or_default();
    if let Some(format @ ("date-time" | "uri")) = format.as_str() {
        let _ = write!(text, " ({format})");
    }
    if let Some(AdditionalProperties::RefOr(_)) = object.additional_properties.as_deref() {
        text.push_str(" of strings");
    }
    text
}

fn description(schema: &Schema) -> &str {
    let description = match schema {
        Schema::Object(object) => &object.description,
        Schema::Array(array) => &array.description,
        Schema::OneOf(one) => &one.description,
        Schema::AllOf(all) => &all.description,
        _ => &None,
    };
    description.as_deref().unwrap_or_default()
}

fn name_in(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or_default()
}
