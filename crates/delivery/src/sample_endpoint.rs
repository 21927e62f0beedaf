//! An endpoint for unit tests, in production, of the company `acme`.

use tidings_domain::{
    breaker::EndpointHealth,
    company::CompanyId,
    id::SubscriptionId,
    random::SeededRandom,
    secret::Secret,
    subscription::{Endpoint, SigningSecrets},
    target::{Environment, TargetUrl},
    time::UtcMillis,
};

/// One that works, at `url`.
pub(crate) fn sample_endpoint(url: &str) -> Endpoint {
    let random = SeededRandom::new(1);
    let url = TargetUrl::parse(url, Environment::Production);
    Endpoint {
        id: SubscriptionId::new(UtcMillis::from_millis(0), &random),
        company: CompanyId::parse("acme").expect("a valid name"),
        url: url.expect("a URL that is allowed in production"),
        secrets: SigningSecrets {
            newest: Secret::generate(&random),
            previous: None,
        },
        enabled: true,
        epoch: 0,
        max_per_second: None,
        health: EndpointHealth::default(),
    }
}
