//! What every page shares.

use std::{net::IpAddr, sync::Arc};

use tidings_domain::{
    clock::Clock, company::CompanyId, portal_token::TokenHash, random::Random, target::Environment,
    time::UtcMillis, web_origin::WebOrigin,
};
use tidings_store::Store;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    PortalOptions, cookies::CookieRules, ports::Outbound, slots::Slots, throttle::Throttle,
    webhooks::Desk,
};

/// Requests being worked on at a time; beyond it the answer is 503.
const REQUESTS_MAX: usize = 256;
/// Pages that update themselves at a time, in all and about one company.
const LIVE_PAGES_MAX: usize = 1000;
const LIVE_PAGES_EACH_MAX: usize = 100;
/// Forms of those who are not signed in that are being read and judged at a time: whoever sends
/// theirs slowly does not keep out those who are.
const SIGN_INS_MAX: usize = 64;
/// Of these from one client's network, which would take them all otherwise.
const SIGN_INS_EACH_MAX: usize = 8;
/// Forms of one session that are being read at a time: whoever sends theirs slowly does not take
/// all places of [`REQUESTS_MAX`].
const FORMS_EACH_MAX: usize = 8;
/// Passwords being hashed at a time; each takes some 20 MiB and tens of milliseconds.
const HASHES_MAX: usize = 2;

/// The portal's own state and what it was given.
pub(crate) struct Portal {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) outbound: Arc<dyn Outbound>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) environment: Environment,
    /// How people reach the server, without a slash at the end.
    pub(crate) public_url: String,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) cookies: CookieRules,
    pub(crate) content_security_policy: String,
    pub(crate) framed: bool,
    pub(crate) throttle: Throttle,
    pub(crate) requests: Semaphore,
    pub(crate) live_pages: Arc<Semaphore>,
    pub(crate) live_pages_each: Slots<CompanyId>,
    pub(crate) sign_ins: Semaphore,
    /// By network; of unknown ones together.
    pub(crate) sign_ins_each: Slots<Option<IpAddr>>,
    pub(crate) forms_each: Slots<TokenHash>,
    pub(crate) hashes: Arc<Semaphore>,
    pub(crate) webhooks: Desk,
}

impl Portal {
    /// With nobody there yet.
    pub(crate) fn new(options: PortalOptions) -> Self {
        let framed = !options.frame_origins.is_empty();
        Self {
            cookies: CookieRules {
                secure: options.public_url.is_https(),
                framed,
            },
            content_security_policy: content_security_policy(&options.frame_origins),
            framed,
            throttle: Throttle::default(),
            requests: Semaphore::new(REQUESTS_MAX),
            live_pages: Arc::new(Semaphore::new(LIVE_PAGES_MAX)),
            live_pages_each: Slots::new(LIVE_PAGES_EACH_MAX),
            sign_ins: Semaphore::new(SIGN_INS_MAX),
            sign_ins_each: Slots::new(SIGN_INS_EACH_MAX),
            forms_each: Slots::new(FORMS_EACH_MAX),
            hashes: Arc::new(Semaphore::new(HASHES_MAX)),
            webhooks: Desk::default(),
            store: options.store,
            outbound: options.outbound,
            clock: options.clock,
            random: options.random,
            environment: options.environment,
            public_url: options.public_url.as_str().to_owned(),
            shutdown: options.shutdown,
            tasks: options.tasks,
        }
    }

    /// The time.
    pub(crate) fn now(&self) -> UtcMillis {
        self.clock.now()
    }
}

/// Nothing but our own files, no inline script or style, frames only where they were allowed
/// (Content Security Policy Level 3).
fn content_security_policy(frame_origins: &[WebOrigin]) -> String {
    let ancestors = if frame_origins.is_empty() {
        "'none'".to_owned()
    } else {
        let origins: Vec<_> = frame_origins.iter().map(WebOrigin::as_str).collect();
        origins.join(" ")
    };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
    )
}
