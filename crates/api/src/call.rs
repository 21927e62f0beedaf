//! A call: one admitted request, as handlers see it.
//!
//! The front door leaves an [`Admitted`] with the request; [`Call`] picks it up. Handlers first
//! ask it for the caller ([`Call::caller`], [`Call::receive`]), so that nobody learns anything
//! without a key that allows it.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRequestParts, RawPathParams},
};
use http::{HeaderMap, Uri, request::Parts};
use parking_lot::Mutex;
use tidings_domain::{
    actor::{Actor, ClientAddress},
    api_key::{ApiKey, Scope},
    company::CompanyId,
    event_type::EventType,
    id::{ApiKeyId, EventId, SubscriptionId},
};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    body::{self, Accepts, ReadBody},
    caller,
    problem::Problem,
    query::Query,
    state::Api,
};

/// What the front door found out about a request.
pub(crate) struct Admitted {
    /// Who calls, or why that is not known.
    pub(crate) caller: Result<ApiKey, Problem>,
    /// The request's place among those being worked on.
    pub(crate) permit: Mutex<Option<OwnedSemaphorePermit>>,
}

/// One request.
pub(crate) struct Call {
    admitted: Option<Arc<Admitted>>,
    /// The header fields.
    pub(crate) headers: HeaderMap,
    uri: Uri,
    address: Option<IpAddr>,
}

impl Call {
    /// The caller, if its key allows `wanted`.
    pub(crate) fn caller(&self, wanted: Scope) -> Result<&ApiKey, Problem> {
        let caller = self.caller_of_any_scope()?;
        if caller.allows(wanted) {
            Ok(caller)
        } else {
            Err(Problem::missing_scope(wanted))
        }
    }

    /// The caller, whatever its key allows.
    pub(crate) fn caller_of_any_scope(&self) -> Result<&ApiKey, Problem> {
        // Every route with callers is behind the front door.
        let admitted = self
            .admitted
            .as_ref()
            .ok_or_else(|| Problem::internal("the route is not behind the front door"))?;
        admitted.caller.as_ref().map_err(Clone::clone)
    }

    /// The caller as the audit log names it, with the address from which it calls.
    pub(crate) fn actor(&self, caller: &ApiKey) -> Actor {
        Actor::key(caller, self.address)
    }

    /// The caller and the body, if the key allows `wanted`.
    pub(crate) async fn receive(
        &self,
        api: &Api,
        body: Body,
        wanted: Scope,
        bytes_max: usize,
        accepts: Accepts,
    ) -> Result<(&ApiKey, ReadBody), Problem> {
        match self.caller(wanted) {
            Ok(caller) => {
                let body = body::read(api, &self.headers, body, bytes_max, accepts).await?;
                Ok((caller, body))
            }
            Err(problem) => {
                body::discard(&self.headers, body).await;
                Err(problem)
            }
        }
    }

    /// The query parameters.
    pub(crate) fn query(&self) -> Query<'_> {
        Query::read(self.uri.query())
    }

    /// The path as it was asked for.
    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    /// For which company the caller acts, where the query has nothing else to say; see
    /// [`caller::reach`].
    pub(crate) fn company(&self, caller: &ApiKey) -> Result<Option<CompanyId>, Problem> {
        let mut query = self.query();
        let named = query.company();
        query.finish()?;
        caller::reach(caller, named)
    }

    /// Works to the end, also where the caller hangs up meanwhile: nothing is done without its
    /// line in the audit log. The request keeps its place among those being worked on.
    pub(crate) async fn see_through<T: Send + 'static>(
        self,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let ended = tokio::spawn(async move {
            let done = work.await;
            drop(self);
            done
        });
        match ended.await {
            Ok(done) => done,
            Err(_) => Err(Problem::internal("the handler panicked")),
        }
    }

    /// Gives the request's place to another one, as this one is going to wait.
    pub(crate) fn stand_aside(&self) {
        if let Some(admitted) = &self.admitted {
            admitted.permit.lock().take();
        }
    }
}

impl FromRequestParts<Arc<Api>> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<ClientAddress>();
        Ok(Self {
            address: address.map(|ClientAddress(address)| *address),
            admitted: parts.extensions.remove::<Arc<Admitted>>(),
            headers: std::mem::take(&mut parts.headers),
            uri: parts.uri.clone(),
        })
    }
}

/// The ids in a path. One that is malformed names nothing, so it is a 404.
pub(crate) struct PathIds(Vec<(String, String)>);

impl PathIds {
    /// The event.
    pub(crate) fn event(&self) -> Result<EventId, Problem> {
        self.read("id", EventId::parse, "event")
    }

    /// The subscription.
    pub(crate) fn subscription(&self) -> Result<SubscriptionId, Problem> {
        self.read("id", SubscriptionId::parse, "subscription")
    }

    /// The subscription in a path that begins with an event.
    pub(crate) fn subscription_of_event(&self) -> Result<SubscriptionId, Problem> {
        self.read("subscriptionId", SubscriptionId::parse, "subscription")
    }

    /// The API key.
    pub(crate) fn api_key(&self) -> Result<ApiKeyId, Problem> {
        self.read("id", ApiKeyId::parse, "API key")
    }

    /// The event type.
    pub(crate) fn event_type(&self) -> Result<EventType, Problem> {
        self.read("name", EventType::parse, "event type")
    }

    /// The event type that is to be made: one that is none breaks a rule.
    pub(crate) fn new_event_type(&self) -> Result<EventType, Problem> {
        let value = self.0.iter().find(|(param, _)| param == "name");
        let name = value.map_or("", |(_, value)| value);
        EventType::parse(name)
            .map_err(|rule| Problem::invalid_field("/name", format!("(in the path) {rule}")))
    }

    fn read<T, E>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
        what: &'static str,
    ) -> Result<T, Problem> {
        let value = self.0.iter().find(|(param, _)| param == name);
        value
            .and_then(|(_, value)| parse(value).ok())
            .ok_or_else(|| Problem::not_found(what))
    }
}

impl FromRequestParts<Arc<Api>> for PathIds {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Infallible> {
        // Without parameters that decode there are no ids, and reading one is a 404.
        let params = RawPathParams::from_request_parts(parts, api).await;
        let pairs = params.map(|params| {
            let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            params.iter().map(owned).collect()
        });
        Ok(Self(pairs.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin, task::Poll};

    use tokio::sync::oneshot;

    use super::*;

    fn call() -> Call {
        Call {
            admitted: None,
            headers: HeaderMap::new(),
            uri: Uri::default(),
            address: None,
        }
    }

    #[tokio::test]
    async fn work_ends_though_the_caller_hangs_up() {
        let (go, gone) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        {
            let mut asked = pin!(call().see_through(async move {
                let reason = gone.await.map_err(|_| Problem::internal("never"))?;
                let _ = tell.send(reason);
                Ok(())
            }));
            let waits = poll_fn(|context| Poll::Ready(asked.as_mut().poll(context).is_pending()));
            assert!(waits.await);
        }
        go.send("done").unwrap();
        assert_eq!(told.await, Ok("done"));
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_of_the_request() {
        let work = async { panic!("as a test") };
        let ended: Result<(), Problem> = call().see_through(work).await;
        assert!(ended.is_err());
    }
}
