//! `/docs`: the `OpenAPI` document as a page to read. Made once, from the document; everything is
//! in it, nothing is fetched from elsewhere, and it needs no script.

mod schema_view;

use std::{fmt::Write as _, sync::LazyLock};

use aws_lc_rs::digest;
use axum::{body::Body, response::Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use utoipa::openapi::{
    OpenApi, RefOr, Required,
    path::{Operation, Parameter, ParameterIn, PathItem},
    response::Response as Described,
};

use crate::{openapi, problem::Code};
use schema_view::Schemas;

const STYLE: &str = include_str!("style.css");

/// The page, made once.
static PAGE: LazyLock<Bytes> = LazyLock::new(|| render(&openapi::document()).into());

/// Allows the one style sheet in the page, by its hash, and nothing else at all.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    HeaderValue::try_from(format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    ))
    .ok()
});

/// `GET /docs`.
pub(crate) async fn serve() -> Response {
    let fields = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let mut response = Response::new(Body::from(PAGE.clone()));
    for (name, value) in fields {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert::<HeaderName>(name, value);
    }
    // The hash is base64, so the policy is a valid field value.
    let policy = POLICY
        .clone()
        .unwrap_or(HeaderValue::from_static("default-src 'none'"));
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// An operation and where it is.
struct Place<'a> {
    method: &'static str,
    path: &'a str,
    operation: &'a Operation,
}

fn render(api: &OpenApi) -> String {
    let mut page = String::with_capacity(256 << 10);
    let schemas = Schemas::of(api);
    let sections = sections(api);
    let title = escaped(&api.info.title);
    page.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    put(
        &mut page,
        format_args!("<title>{title} API</title>\n<style>{STYLE}</style>\n</head>\n"),
    );
    page.push_str("<body>\n<div class=\"page\">\n");
    navigation(&mut page, api, &sections);
    page.push_str("<main>\n<div class=\"intro\" id=\"top\">\n");
    put(&mut page, format_args!("<h1>{title} API</h1>\n"));
    page.push_str(&prose(api.info.description.as_deref().unwrap_or_default()));
    put(
        &mut page,
        format_args!(
            "<p>The same as a machine reads it: <a href=\"/api/v1/openapi.json\">\
             <code>/api/v1/openapi.json</code></a> (OpenAPI 3.1).</p>\n<pre><code>{}</code></pre>\n{}",
            escaped(FIRST_CALL),
            prose(FIRST_CALL_NOTE)
        ),
    );
    page.push_str("</div>\n");
    for section in &sections {
        section_view(&mut page, section, &schemas);
    }
    deliveries(&mut page, api, &schemas);
    problems(&mut page);
    page.push_str("<section id=\"schemas\">\n<h2>Schemas</h2>\n");
    page.push_str("<p class=\"lead\">What bodies are made of.</p>\n");
    schemas.all(&mut page);
    page.push_str("</section>\n</main>\n</div>\n</body>\n</html>\n");
    page
}

const FIRST_CALL: &str = r#"curl http://127.0.0.1:8080/api/v1/events \
  -H "X-Api-Key: $TIDINGS_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{"companyId": "acme", "type": "client.created", "payload": {"clientId": "c-1"}}'"#;

const FIRST_CALL_NOTE: &str = "A key of the platform must name the company; a company's own key \
                               may leave `companyId` out.";

/// One tag and its operations.
struct Section<'a> {
    name: &'a str,
    description: &'a str,
    places: Vec<Place<'a>>,
}

fn sections(api: &OpenApi) -> Vec<Section<'_>> {
    let places: Vec<Place<'_>> = api
        .paths
        .paths
        .iter()
        .flat_map(|(path, item)| places(path, item))
        .collect();
    let tags = api.tags.iter().flatten();
    let mut sections: Vec<Section<'_>> = tags
        .map(|tag| Section {
            name: &tag.name,
            description: tag.description.as_deref().unwrap_or_default(),
            places: Vec::new(),
        })
        .collect();
    for place in places {
        let tag = place.operation.tags.iter().flatten().next();
        let section = sections
            .iter_mut()
            .find(|section| Some(section.name) == tag.map(|tag| &**tag));
        if let Some(section) = section {
            section.places.push(place);
        }
    }
    sections
}

fn places<'a>(path: &'a str, item: &'a PathItem) -> impl Iterator<Item = Place<'a>> {
    [
        ("POST", &item.post),
        ("GET", &item.get),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ]
    .into_iter()
    .filter_map(move |(method, operation)| {
        let operation = operation.as_ref()?;
        Some(Place {
            method,
            path,
            operation,
        })
    })
}

fn navigation(page: &mut String, api: &OpenApi, sections: &[Section<'_>]) {
    put(
        page,
        format_args!(
            "<nav class=\"side\" aria-label=\"Contents\">\n<a class=\"brand\" href=\"#top\">{}\
             <small>{}</small></a>\n<details>\n<summary>Contents</summary>\n",
            escaped(&api.info.title),
            escaped(&api.info.version),
        ),
    );
    for section in sections {
        let (name, id) = (escaped(section.name), anchor(section.name));
        put(
            page,
            format_args!("<h2><a href=\"#{id}\">{name}</a></h2>\n<ul>\n"),
        );
        for place in &section.places {
            let (id, summary) = (id_of(place.operation), summary_of(place.operation));
            put(
                page,
                format_args!("<li><a href=\"#{id}\">{summary}</a></li>\n"),
            );
        }
        page.push_str("</ul>\n");
    }
    page.push_str(
        "<h2>Reference</h2>\n<ul>\n<li><a href=\"#deliveries\">Deliveries</a></li>\n\
         <li><a href=\"#problems\">Problems</a></li>\n\
         <li><a href=\"#schemas\">Schemas</a></li>\n</ul>\n</details>\n</nav>\n",
    );
}

fn section_view(page: &mut String, section: &Section<'_>, schemas: &Schemas<'_>) {
    let (name, id) = (escaped(section.name), anchor(section.name));
    put(
        page,
        format_args!("<section id=\"{id}\">\n<h2>{name}</h2>\n<div class=\"lead\">"),
    );
    page.push_str(&prose(section.description));
    page.push_str("</div>\n");
    for place in &section.places {
        operation_view(page, place, schemas);
    }
    page.push_str("</section>\n");
}

fn operation_view(page: &mut String, place: &Place<'_>, schemas: &Schemas<'_>) {
    let operation = place.operation;
    let (id, summary) = (id_of(operation), summary_of(operation));
    put(
        page,
        format_args!(
            "<article id=\"{id}\">\n<h3><a href=\"#{id}\">{summary}</a></h3>\n<div class=\"line\">\
             <span class=\"method {}\">{}</span><span class=\"path\">{}</span>{}</div>\n",
            place.method.to_ascii_lowercase(),
            place.method,
            escaped(place.path),
            scope(operation),
        ),
    );
    page.push_str(&prose(operation.description.as_deref().unwrap_or_default()));
    parameters(page, operation);
    if let Some(RefOr::T(body)) = &operation.request_body {
        page.push_str("<h4>Body</h4>\n");
        page.push_str(&prose(body.description.as_deref().unwrap_or_default()));
        let types: Vec<String> = body
            .content
            .keys()
            .map(|media| format!("<code>{}</code>", escaped(media)))
            .collect();
        let content = body.content.values().next();
        if let Some(RefOr::T(content)) = content
            && let Some(schema) = &content.schema
        {
            let kind = schema_view::kind(schema);
            put(
                page,
                format_args!("<p>{kind}, as {}</p>\n", types.join(" or ")),
            );
            let example = escaped(&schemas.example(schema));
            put(page, format_args!("<pre><code>{example}</code></pre>\n"));
        }
    }
    page.push_str("<h4>Answers</h4>\n<div class=\"table\"><table>\n");
    for (status, response) in &operation.responses.responses {
        answer_row(page, status, response, schemas);
    }
    page.push_str("</table></div>\n</article>\n");
}

/// The scopes that an operation needs, from its security requirement.
fn scope(operation: &Operation) -> String {
    let json = serde_json::to_value(&operation.security).unwrap_or_default();
    let scopes = json
        .pointer("/0/apiKey")
        .and_then(|scopes| scopes.as_array());
    match scopes.map(Vec::as_slice) {
        None => "<span class=\"scope\">no key needed</span>".to_owned(),
        Some([]) => "<span class=\"scope\">any scope</span>".to_owned(),
        Some(scopes) => {
            let words = scopes.iter().filter_map(|scope| scope.as_str());
            let words: Vec<String> = words.map(escaped).collect();
            format!(
                "<span class=\"scope\">scope <code>{}</code></span>",
                words.join(" ")
            )
        }
    }
}

fn parameters(page: &mut String, operation: &Operation) {
    let all = operation.parameters.iter().flatten();
    let parameters = all.filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    });
    let groups = [
        (ParameterIn::Path, "Path"),
        (ParameterIn::Query, "Query"),
        (ParameterIn::Header, "Header fields"),
    ];
    for (place, title) in groups {
        let of_group = parameters
            .clone()
            .filter(|parameter| parameter.parameter_in == place);
        let rows: String = of_group.map(parameter_row).collect();
        if !rows.is_empty() {
            let table = format_args!(
                "<h4>{title}</h4>\n<div class=\"table\"><table>\n{rows}</table></div>\n"
            );
            put(page, table);
        }
    }
}

fn parameter_row(parameter: &Parameter) -> String {
    let need = match parameter.required {
        Required::True => "<span class=\"need\">required</span>",
        Required::False => "",
    };
    let schema = parameter.schema.as_ref();
    format!(
        "<tr><th><code>{}</code>{need}<span class=\"kind\">{}</span></th><td>{}{}</td></tr>\n",
        escaped(&parameter.name),
        schema.map(schema_view::kind).unwrap_or_default(),
        prose(parameter.description.as_deref().unwrap_or_default()),
        schema.map(schema_view::limits).unwrap_or_default(),
    )
}

fn answer_row(page: &mut String, status: &str, response: &RefOr<Described>, schemas: &Schemas<'_>) {
    let Some(response) = schemas.response(response) else {
        return;
    };
    let look = if status.starts_with('2') {
        "good"
    } else {
        "bad"
    };
    let body = response.content.values().find_map(|content| match content {
        RefOr::T(content) => content.schema.as_ref(),
        RefOr::Ref(_) => None,
    });
    let body = body.map(schema_view::kind).unwrap_or_default();
    let fields = response
        .headers
        .keys()
        .filter(|name| *name != "X-Request-Id");
    let fields: Vec<String> = fields
        .map(|name| format!("<code>{}</code>", escaped(name)))
        .collect();
    let fields = if fields.is_empty() {
        String::new()
    } else {
        format!("<p class=\"more\">with {}</p>", fields.join(", "))
    };
    put(
        page,
        format_args!(
            "<tr><th><span class=\"{look}\">{}</span><span class=\"kind\">{body}</span></th>\
             <td>{}{fields}</td></tr>\n",
            escaped(status),
            prose(&response.description),
        ),
    );
}

fn deliveries(page: &mut String, api: &OpenApi, schemas: &Schemas<'_>) {
    page.push_str("<section id=\"deliveries\">\n<h2>Deliveries</h2>\n");
    page.push_str("<p class=\"lead\">What your receiver gets, and what it should answer.</p>\n");
    for (name, item) in api.webhooks.iter().flat_map(|webhooks| &webhooks.paths) {
        for place in places(name, item) {
            let url = Place {
                path: "your URL",
                ..place
            };
            operation_view(page, &url, schemas);
        }
    }
    page.push_str("</section>\n");
}

fn problems(page: &mut String) {
    page.push_str(
        "<section id=\"problems\">\n<h2>Problems</h2>\n<p class=\"lead\">Every error is a problem \
         as in RFC 9457. Branch on <code>code</code>: it does not change.</p>\n<article>\n\
         <div class=\"table\"><table>\n",
    );
    for code in Code::ALL {
        put(
            page,
            format_args!(
                "<tr id=\"problem-{0}\"><th><code>{0}</code></th><td>{1} {2}</td></tr>\n",
                code.as_str(),
                code.status().as_u16(),
                code.title(),
            ),
        );
    }
    page.push_str("</table></div>\n</article>\n</section>\n");
}

fn id_of(operation: &Operation) -> String {
    escaped(operation.operation_id.as_deref().unwrap_or_default())
}

fn summary_of(operation: &Operation) -> String {
    inline(operation.summary.as_deref().unwrap_or_default())
}

/// A name as an anchor.
fn anchor(name: &str) -> String {
    name.to_ascii_lowercase().replace(' ', "-")
}

/// Appends; writing to a String cannot fail.
fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = page.write_fmt(text);
}

/// Text as HTML.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(char),
        }
    }
    html
}

/// Descriptions as HTML: empty lines part paragraphs.
fn prose(text: &str) -> String {
    let mut html = String::new();
    for paragraph in text
        .split("\n\n")
        .filter(|paragraph| !paragraph.trim().is_empty())
    {
        put(&mut html, format_args!("<p>{}</p>\n", inline(paragraph)));
    }
    html
}

/// A line as HTML: what is between backticks is code.
fn inline(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            put(&mut html, format_args!("<code>{}</code>", escaped(part)));
        } else {
            html.push_str(&escaped(part));
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_fetched_and_nothing_runs() {
        let page = render(&openapi::document());
        for bad in [
            "<script", "<link", "<img", "src=", "@import", "url(", "onclick", "style=\"",
        ] {
            assert!(!page.contains(bad), "{bad}");
        }
    }

    #[test]
    fn every_anchor_that_is_linked_exists_once() {
        let page = render(&openapi::document());
        let mut linked = 0;
        for link in page.split("href=\"#").skip(1) {
            let id = link.split('"').next().unwrap();
            let places = page.matches(&format!("id=\"{id}\"")).count();
            assert_eq!(places, 1, "{id}");
            linked += 1;
        }
        assert!(linked > 100, "{linked}");
    }

    #[test]
    fn every_operation_and_problem_is_there() {
        let page = render(&openapi::document());
        for id in [
            "publishEvent",
            "listAttempts",
            "getMe",
            "deliverEvent",
            "problem-missing_scope",
        ] {
            assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }

    #[test]
    fn no_backtick_is_shown_as_one() {
        let page = render(&openapi::document());
        let (_, body) = page.split_once("</head>").unwrap();
        let at = body.find('`');
        assert_eq!(at.map(|at| &body[at.saturating_sub(40)..=at]), None);
        assert!(body.contains("The catalog as an <code>AsyncAPI</code> document</a></h3>"));
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            prose("a <b> `c&d`\n\ne"),
            "<p>a &lt;b&gt; <code>c&amp;d</code></p>\n<p>e</p>\n"
        );
    }
}
