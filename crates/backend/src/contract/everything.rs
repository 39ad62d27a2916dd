//! What a whole inventory says, for tests that look at single things in it.

use claviger_core::{
    model::{Scope, ScopeStatus},
    observation::{
        Observation, ObservedConsumer, ObservedCopy, ObservedCredential, ObservedGrant, ObservedIdentity,
    },
};

use crate::{Backend, Message, Phase, channel};

/// What an inventory said, both phases together, in the order in which it came.
#[derive(Default)]
pub struct Everything {
    /// Identities.
    pub identities: Vec<ObservedIdentity>,
    /// Credentials.
    pub credentials: Vec<ObservedCredential>,
    /// Copies, with their values.
    pub copies: Vec<ObservedCopy>,
    /// Consumers.
    pub consumers: Vec<ObservedConsumer>,
    /// Grants.
    pub grants: Vec<ObservedGrant>,
    /// How each scope ended, and why.
    pub ends: Vec<(Scope, ScopeStatus, Option<String>)>,
}

impl Everything {
    /// Takes the inventory of a backend.
    ///
    /// # Panics
    /// The inventory fails as a whole.
    pub async fn of(backend: &dyn Backend) -> Self {
        let mut seen = Self::default();
        for phase in [Phase::Issuers, Phase::Stores] {
            let (mut sink, mut receiver) = channel(4);
            let send = async {
                let outcome = backend.inventory(phase, &mut sink).await;
                drop(sink);
                outcome
            };
            let receive = async {
                while let Some(message) = receiver.recv().await {
                    seen.take(message);
                }
            };
            let (outcome, ()) = futures::future::join(send, receive).await;
            outcome.expect("an inventory");
        }
        seen
    }

    fn take(&mut self, message: Message) {
        let page = match message {
            Message::ScopeEnd { scope, status, reason } => return self.ends.push((scope, status, reason)),
            Message::Page(page) => page,
        };
        for item in page.items {
            match item {
                Observation::Identity(it) => self.identities.push(it),
                Observation::Credential(it) => self.credentials.push(it),
                Observation::Copy(it) => self.copies.push(it),
                Observation::Consumer(it) => self.consumers.push(it),
                Observation::Grant(it) => self.grants.push(it),
            }
        }
    }

    /// The credential with this ref.
    ///
    /// # Panics
    /// It is not listed.
    pub fn credential(&self, at: &str) -> &ObservedCredential {
        let found = self.credentials.iter().find(|one| one.at.as_str() == at);
        found.unwrap_or_else(|| panic!("{at} is not listed"))
    }

    /// The copy with this ref.
    ///
    /// # Panics
    /// It is not listed.
    pub fn copy(&self, at: &str) -> &ObservedCopy {
        let found = self.copies.iter().find(|one| one.at.as_str() == at);
        found.unwrap_or_else(|| panic!("{at} is not listed"))
    }

    /// How this scope ended.
    ///
    /// # Panics
    /// It did not.
    pub fn end(&self, area: &str, part: &str) -> ScopeStatus {
        let scope = Scope::new(area, part);
        let end = self.ends.iter().find(|(one, ..)| *one == scope);
        end.unwrap_or_else(|| panic!("{scope} has no end in {:?}", self.ends)).1
    }
}
