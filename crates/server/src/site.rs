//! What a listener serves: one router, and another one for the portal where there is a portal.
//!
//! They are kept side by side instead of one inside the other: each has its own doorkeeper and its
//! own answers for what it does not have, and a request to the API pays nothing for the portal.

use axum::Router;
use hyper_util::service::TowerToHyperService;

/// Where the portal's pages are.
const PORTAL_PATH: &str = "/portal";

/// The routers of a listener. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Site {
    main: TowerToHyperService<Router>,
    portal: Option<TowerToHyperService<Router>>,
}

impl Site {
    /// The API, with the portal beside it.
    pub(crate) fn with_portal(api: Router, portal: Router) -> Self {
        Self {
            main: TowerToHyperService::new(api),
            portal: Some(TowerToHyperService::new(portal)),
        }
    }

    /// Who answers for a path.
    pub(crate) fn router_for(&self, path: &str) -> &TowerToHyperService<Router> {
        match &self.portal {
            Some(portal) if is_of_portal(path) => portal,
            _ => &self.main,
        }
    }
}

impl From<Router> for Site {
    /// One router for every path.
    fn from(router: Router) -> Self {
        Self {
            main: TowerToHyperService::new(router),
            portal: None,
        }
    }
}

fn is_of_portal(path: &str) -> bool {
    let rest = path.strip_prefix(PORTAL_PATH);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_portal_is_below_its_path() {
        for path in ["/portal", "/portal/", "/portal/enter/x"] {
            assert!(is_of_portal(path), "{path}");
        }
        for path in [
            "/",
            "/portals",
            "/api/v1/portal/sessions",
            "/Portal",
            "//portal",
        ] {
            assert!(!is_of_portal(path), "{path}");
        }
    }
}
