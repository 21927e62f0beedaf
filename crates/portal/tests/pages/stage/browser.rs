//! Browsers that keep their cookies, and the answers that they get.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use axum::{Router, body::Body};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tidings_domain::actor::ClientAddress;
use tower::ServiceExt as _;

/// Somebody's browser: keeps cookies, and the CSRF token of the last page that had one.
pub(crate) struct Browser {
    router: Router,
    cookies: Mutex<BTreeMap<String, String>>,
    csrf: Mutex<Option<String>>,
    /// From where it asks.
    pub(crate) address: IpAddr,
}

impl Browser {
    /// One that has been nowhere yet.
    pub(super) fn new(router: Router) -> Self {
        Self {
            router,
            cookies: Mutex::default(),
            csrf: Mutex::default(),
            address: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)),
        }
    }

    /// Opens a page.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// Looks at a page's head alone.
    pub(crate) async fn head(&self, path: &str) -> Answer {
        self.send(Method::HEAD, path, None).await
    }

    /// Sends a form as a page of ours would: with the token of the last page that had one.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.csrf.lock().clone();
        let csrf = csrf.expect("open a page with a form first");
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("csrf", &csrf).extend_pairs(fields);
        self.post_raw(path, &form.finish()).await
    }

    /// Sends a form as another site would: without our token.
    pub(crate) async fn post_forged(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("csrf", "c29tZXRoaW5nIGVsc2U")
            .extend_pairs(fields);
        self.post_raw(path, &form.finish()).await
    }

    /// Sends a body as it is.
    pub(crate) async fn post_raw(&self, path: &str, body: &str) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Asks by another method.
    pub(crate) async fn method(&self, method: Method, path: &str) -> Answer {
        self.send(method, path, None).await
    }

    /// Keeps a cookie.
    pub(crate) fn set_cookie(&self, name: &str, value: &str) {
        let mut cookies = self.cookies.lock();
        cookies.insert(name.to_owned(), value.to_owned());
    }

    /// The value of a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().get(name).cloned()
    }

    /// Sends a form whose body comes as it likes.
    pub(crate) async fn post_body(&self, path: &str, body: Body) -> Answer {
        self.send_body(Method::POST, path, body, true).await
    }

    async fn send(&self, method: Method, path: &str, form: Option<&str>) -> Answer {
        let body = Body::from(form.unwrap_or_default().to_owned());
        self.send_body(method, path, body, form.is_some()).await
    }

    async fn send_body(&self, method: Method, path: &str, body: Body, is_form: bool) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        let pairs: Vec<String> = {
            let cookies = self.cookies.lock();
            let pair = |(name, value)| format!("{name}={value}");
            cookies.iter().map(pair).collect()
        };
        if !pairs.is_empty() {
            request = request.header(header::COOKIE, pairs.join("; "));
        }
        if is_form {
            let kind = "application/x-www-form-urlencoded";
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let mut request = request.body(body).unwrap();
        let address = ClientAddress(self.address);
        request.extensions_mut().insert(address);
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        };
        self.remember(&answer);
        answer
    }

    fn remember(&self, answer: &Answer) {
        for set in answer.set_cookies() {
            let pair = set.split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if set.contains("Max-Age=0;") {
                self.cookies.lock().remove(name);
            } else {
                self.set_cookie(name, value);
            }
        }
        if let Some(token) = answer.field_value("csrf") {
            *self.csrf.lock() = Some(token);
        }
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// A header field's value; empty where it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Where it sends the browser.
    pub(crate) fn location(&self) -> &str {
        self.header("location")
    }

    /// Every `Set-Cookie`, as it was sent.
    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        let fields = self.headers.get_all(header::SET_COOKIE).iter();
        fields.map(|field| field.to_str().unwrap()).collect()
    }

    /// Whether the page holds this, as it stands in its source.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.text.contains(text)
    }

    /// Checks that it is a page with this status, and gives it.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Checks that it sends the browser there.
    #[track_caller]
    pub(crate) fn leads_to(&self, path: &str) {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{self:?}");
        assert_eq!(self.location(), path);
    }

    /// The value of the first field of this name in a form of the page.
    pub(crate) fn field_value(&self, name: &str) -> Option<String> {
        let at = self.text.find(&format!("name=\"{name}\""))?;
        let start = self.text[..at].rfind('<')?;
        let tag = self.text[start..].split('>').next()?;
        let value = tag.split("value=\"").nth(1)?.split('"').next()?;
        Some(unescaped(value))
    }

    /// What stands in the element with this id, tags and all.
    pub(crate) fn element(&self, id: &str) -> Option<&str> {
        let at = self.text.find(&format!("id=\"{id}\""))?;
        let inner = self.text[at..].split_once('>')?.1;
        inner.split('<').next()
    }
}

fn unescaped(text: &str) -> String {
    let pairs = [
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#38;", "&"),
    ];
    let mut text = text.to_owned();
    for (entity, character) in pairs {
        text = text.replace(entity, character);
    }
    text
}
