//! The first user: as long as there is none, every start of a server offers a link by which one is
//! made. Who reads the server's output may do with its database what they like anyway.

use tidings_domain::{portal_token::PortalToken, web_origin::WebOrigin};
use tidings_store::{Link, LinkPurpose, Store, StoreError};

use crate::node::Surroundings;

/// How long the link is good, in hours.
pub(crate) const SETUP_HOURS: i64 = 24;
const HOUR_MS: i64 = 60 * 60 * 1000;

/// A link that is good once and as long as there is no user; none where there is one.
pub(crate) async fn offer(
    store: &dyn Store,
    surroundings: &Surroundings,
    public_url: &WebOrigin,
) -> Result<Option<String>, StoreError> {
    if !store.users().await?.is_empty() {
        return Ok(None);
    }
    let token = PortalToken::generate(surroundings.random.as_ref());
    let expires = surroundings.clock.now().plus_millis(SETUP_HOURS * HOUR_MS);
    let link = Link {
        purpose: LinkPurpose::Setup,
        expires,
    };
    store.create_link(token.hash(), link).await?;
    Ok(Some(format!(
        "{public_url}/portal/setup/{}",
        token.expose()
    )))
}
