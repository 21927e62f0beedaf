//! A resolver that says what it is told to.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tidings_delivery::{Resolve, ResolveError};

/// What becomes of a question.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    Addresses(Vec<IpAddr>),
    Fails,
    Nothing,
}

/// Answers by name, one after the other; the last one of a name stays. Unknown names do not exist.
#[derive(Default)]
pub(crate) struct ScriptedNames {
    script: Mutex<HashMap<String, Vec<Says>>>,
    questions: AtomicUsize,
}

impl ScriptedNames {
    pub(crate) fn with(name: &str, answers: &[Says]) -> Arc<Self> {
        let mut answers = answers.to_vec();
        answers.reverse();
        Arc::new(Self {
            script: Mutex::new(HashMap::from([(name.to_owned(), answers)])),
            questions: AtomicUsize::new(0),
        })
    }

    /// A name that always has these addresses.
    pub(crate) fn resolving(name: &str, addresses: &[&str]) -> Arc<Self> {
        Self::with(name, &[says(addresses)])
    }

    pub(crate) fn questions(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }
}

pub(crate) fn says(addresses: &[&str]) -> Says {
    let parse = |text: &&str| text.parse().unwrap();
    Says::Addresses(addresses.iter().map(parse).collect())
}

#[async_trait]
impl Resolve for ScriptedNames {
    async fn resolve(&self, name: &str) -> Result<Arc<[IpAddr]>, ResolveError> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        let answer = self.script.lock().get_mut(name).and_then(|answers| {
            let last = answers.len() == 1;
            if last {
                answers.last().cloned()
            } else {
                answers.pop()
            }
        });
        match answer {
            Some(Says::Addresses(addresses)) => Ok(addresses.into()),
            Some(Says::Fails) => Err(ResolveError::Failed),
            Some(Says::Nothing) => std::future::pending().await,
            None => Err(ResolveError::NotFound),
        }
    }
}
