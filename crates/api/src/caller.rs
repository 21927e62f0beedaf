//! Callers: which key a request comes with, what it allows, and for which company it acts.

use aws_lc_rs::constant_time;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tidings_domain::{
    api_key::{ApiKey, ApiKeyToken, KeyHash, Scope},
    company::CompanyId,
    id::ApiKeyId,
    time::UtcMillis,
};

use crate::{
    fields::Form,
    problem::{Code, Problem},
    state::Api,
    values,
};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A key that is accepted from the start, for automation. It is in no list and cannot be revoked;
/// it goes when the setting goes.
pub(crate) struct BootstrapKey {
    hash: KeyHash,
    key: ApiKey,
}

impl BootstrapKey {
    /// A platform `admin` key with an id that no made key can have.
    pub(crate) fn new(token: &ApiKeyToken) -> Self {
        Self {
            hash: token.hash(),
            key: ApiKey {
                id: ApiKeyId::from_bytes([0; 16]),
                name: "bootstrap".to_owned(),
                company: None,
                scopes: vec![Scope::Admin],
                expires: None,
                created: UtcMillis::from_millis(0),
                last_used: None,
            },
        }
    }
}

/// Finds out who calls. 401 for a missing, malformed, unknown, revoked or expired key.
pub(crate) async fn identify(api: &Api, headers: &HeaderMap) -> Result<ApiKey, Problem> {
    owner_of(api, &hash_of(headers)?).await
}

/// The hash of the key that a request comes with. 401 where it comes with none.
pub(crate) fn hash_of(headers: &HeaderMap) -> Result<KeyHash, Problem> {
    token(headers).map(|token| token.hash())
}

/// Finds out whose hash it is. 401 for an unknown, revoked or expired key.
pub(crate) async fn owner_of(api: &Api, hash: &KeyHash) -> Result<ApiKey, Problem> {
    if let Some(bootstrap) = &api.bootstrap_key
        && constant_time::verify_slices_are_equal(&bootstrap.hash, hash).is_ok()
    {
        return Ok(bootstrap.key.clone());
    }
    let now = api.clock.now();
    match api.store.key_by_hash(hash).await? {
        Some(key) if !key.is_expired_at(now) => {
            api.store.touch_key(key.id, now);
            Ok(key)
        }
        Some(_) => Err(invalid("the API key has expired")),
        None => Err(invalid("the API key is unknown or was revoked")),
    }
}

fn token(headers: &HeaderMap) -> Result<ApiKeyToken, Problem> {
    let (mut values, strip): (_, fn(&str) -> Option<&str>) = if headers.contains_key(X_API_KEY) {
        (headers.get_all(X_API_KEY).iter(), |text| {
            Some(text.trim_ascii())
        })
    } else {
        (headers.get_all(header::AUTHORIZATION).iter(), bearer)
    };
    let Some(value) = values.next() else {
        let detail = "send an API key as X-Api-Key or as Authorization: Bearer";
        return Err(challenged(detail, "Bearer realm=\"tidings\""));
    };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    text.and_then(strip)
        .and_then(|text| ApiKeyToken::parse(text).ok())
        .ok_or_else(|| invalid("this is no API key: it must be tdg_ and 43 characters"))
}

/// The token after `Bearer`, in any case (RFC 6750, section 2.1, and RFC 9110, section 11.1).
fn bearer(text: &str) -> Option<&str> {
    let (scheme, token) = text.trim_ascii().split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_ascii())
}

fn invalid(detail: &'static str) -> Problem {
    challenged(detail, "Bearer realm=\"tidings\", error=\"invalid_token\"")
}

/// 401 with the challenge that has to go with it (RFC 9110, section 11.6.1).
fn challenged(detail: &'static str, challenge: &'static str) -> Problem {
    Problem::new(Code::Unauthenticated, detail).with_header(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static(challenge),
    )
}

/// Nothing where the key is the platform's; 403 with `detail` where it is a company's.
pub(crate) fn platform_only(caller: &ApiKey, detail: &'static str) -> Result<(), Problem> {
    match caller.company {
        None => Ok(()),
        Some(_) => Err(Problem::new(Code::PlatformOnly, detail)),
    }
}

/// For which company a caller may act, given the one it names: its own, or the named one. None
/// where the platform names none, which stands for whoever's the thing asked for is.
pub(crate) fn reach(
    caller: &ApiKey,
    named: Option<CompanyId>,
) -> Result<Option<CompanyId>, Problem> {
    match (&caller.company, named) {
        (Some(own), Some(named)) if *own != named => Err(Problem::new(
            Code::ForeignCompany,
            "the key belongs to another company than the one that companyId names",
        )),
        (Some(own), _) => Ok(Some(own.clone())),
        (None, named) => Ok(named),
    }
}

/// For which company a caller acts where one is needed: named by `companyId` in the body, which is
/// read here, by the query, or by both alike. None, and noted in `form`, where the platform names
/// none.
pub(crate) fn company_for(
    caller: &ApiKey,
    form: &mut Form<'_>,
    in_query: Option<CompanyId>,
) -> Result<Option<CompanyId>, Problem> {
    let Some(in_body) = form.attempt("companyId", values::company) else {
        return Ok(None);
    };
    let by_query = reach(caller, in_query)?;
    match (reach(caller, in_body)?, by_query) {
        (Some(body), Some(query)) if body != query => {
            form.refuse("companyId", "must be the same in body and query");
            Ok(None)
        }
        (None, None) => {
            form.refuse("companyId", COMPANY_NEEDED);
            Ok(None)
        }
        (body, query) => Ok(body.or(query)),
    }
}

/// What a platform key is told that names no company.
pub(crate) const COMPANY_NEEDED: &str = "is required, as the platform's key acts for every company";

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::try_from(*value).unwrap());
        }
        headers
    }

    #[test]
    fn a_key_is_read_from_either_field() {
        let key = format!("tdg_{}", "A".repeat(43));
        let key = key.as_str();
        for fields in [
            &[("x-api-key", key)][..],
            &[("authorization", &format!("Bearer {key}"))],
            &[("authorization", &format!("bearer  {key}"))],
            &[("x-api-key", key), ("authorization", "Basic eA==")],
        ] {
            assert_eq!(token(&headers(fields)).unwrap().expose(), key);
        }
        for fields in [
            &[][..],
            &[("x-api-key", "")],
            &[("x-api-key", "tdg_short")],
            &[("x-api-key", key), ("x-api-key", key)],
            &[("authorization", key)],
            &[("authorization", "Bearer")],
            &[("authorization", "Bearer ")],
            &[("authorization", "Basic eA==")],
            &[("authorization", &format!("Basic {key}"))],
        ] {
            assert!(token(&headers(fields)).is_err(), "{fields:?}");
        }
    }
}
