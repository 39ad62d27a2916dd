use async_trait::async_trait;
use claviger_core::{
    reference::Ref,
    saga::{Arrangement, Binding, Mounting},
    secret::SecretValue,
};

use super::{Call, Guarded};
use crate::{
    Backend as _, Candidate, Entry, Federation, Granted, Holder, Loan, Offered, Operation, Result, Uses,
    Workloads,
};

impl Guarded {
    fn inner_federation(&self, at: Option<&Ref>, operation: &'static str) -> Result<&dyn Federation> {
        self.checked(self.capability().federate, at, operation)?;
        self.inner.federation().ok_or_else(|| self.no_role("system of short-lived identities", operation))
    }

    fn inner_workloads(&self, at: &Ref, operation: &'static str) -> Result<&dyn Workloads> {
        let capability = self.capability();
        // Who only vouches shows workloads, and writes down what their owners are to change.
        let shown = capability.vouch && matches!(operation, "holder" | "patch");
        self.checked(capability.bind || shown, Some(at), operation)?;
        self.inner.workloads().ok_or_else(|| self.no_role("platform of workloads", operation))
    }
}

#[async_trait]
impl Federation for Guarded {
    async fn offers(&self, candidate: &Candidate<'_>) -> Result<Offered> {
        // The credential may be another system's.
        self.call(Call::reads("federation.offers", &self.config).at(candidate.subject), || async move {
            self.inner_federation(None, "offers")?.offers(candidate).await
        })
        .await
    }

    async fn federate(&self, op: &Operation, arrangement: &Arrangement) -> Result<()> {
        self.call(Call::changes("federation.federate", op).at(&arrangement.at), || async move {
            self.inner_federation(Some(&arrangement.at), "federate")?.federate(op, arrangement).await
        })
        .await
    }

    async fn federated(&self, op: &Operation, arrangement: &Arrangement) -> Result<bool> {
        self.call(Call::reads("federation.federated", &self.config).at(&arrangement.at), || async move {
            self.inner_federation(Some(&arrangement.at), "federated")?.federated(op, arrangement).await
        })
        .await
    }

    async fn unfederate(&self, op: &Operation, arrangement: &Arrangement) -> Result<()> {
        self.call(Call::changes("federation.unfederate", op).at(&arrangement.at), || async move {
            self.inner_federation(Some(&arrangement.at), "unfederate")?.unfederate(op, arrangement).await
        })
        .await
    }

    async fn reach(&self, subject: &Ref, value: &SecretValue) -> Result<Entry> {
        self.call(Call::reads("federation.reach", &self.config).at(subject), || async move {
            // Also of who accepts no such identity, and only says what its own credentials may do.
            let inner = self.inner.federation();
            inner.ok_or_else(|| self.no_role("teller of rights", "reach"))?.reach(subject, value).await
        })
        .await
    }

    async fn login(&self, arrangement: &Arrangement, assertion: &SecretValue) -> Result<Entry> {
        self.call(Call::reads("federation.login", &self.config).at(&arrangement.at), || async move {
            self.inner_federation(Some(&arrangement.at), "login")?.login(arrangement, assertion).await
        })
        .await
    }

    async fn granted(&self, subject: &Ref, arrangement: &Arrangement) -> Result<Granted> {
        self.call(Call::reads("federation.granted", &self.config).at(&arrangement.at), || async move {
            self.inner_federation(Some(&arrangement.at), "granted")?.granted(subject, arrangement).await
        })
        .await
    }

    async fn entered(&self, arrangement: &Arrangement) -> Result<Uses> {
        self.call(Call::reads("federation.entered", &self.config).at(&arrangement.at), || async move {
            self.inner_federation(Some(&arrangement.at), "entered")?.entered(arrangement).await
        })
        .await
    }

    async fn borrow(&self, arrangement: &Arrangement, assertion: &SecretValue) -> Result<Option<Loan>> {
        self.call(Call::reads("federation.borrow", &self.config).at(&arrangement.at), || async move {
            self.inner_federation(Some(&arrangement.at), "borrow")?.borrow(arrangement, assertion).await
        })
        .await
    }

    async fn give_back(&self, handle: &str) -> Result<()> {
        self.call(Call::reads("federation.give_back", &self.config), || async move {
            self.inner_federation(None, "give_back")?.give_back(handle).await
        })
        .await
    }
}

#[async_trait]
impl Workloads for Guarded {
    async fn holder(&self, consumer: &Ref, object: &Ref) -> Result<Holder> {
        self.call(Call::reads("workloads.holder", &self.config).at(consumer), || async move {
            self.inner_workloads(consumer, "holder")?.holder(consumer, object).await
        })
        .await
    }

    async fn assertion(&self, account: &Ref, audience: Option<&str>, seconds: u32) -> Result<SecretValue> {
        self.call(Call::reads("workloads.assertion", &self.config).at(account), || async move {
            self.inner_workloads(account, "assertion")?.assertion(account, audience, seconds).await
        })
        .await
    }

    async fn bind(&self, op: &Operation, consumer: &Ref, binding: &Binding) -> Result<()> {
        self.call(Call::changes("workloads.bind", op).at(consumer), || async move {
            self.inner_workloads(consumer, "bind")?.bind(op, consumer, binding).await
        })
        .await
    }

    async fn bound(&self, op: &Operation, consumer: &Ref) -> Result<bool> {
        self.call(Call::reads("workloads.bound", &self.config).at(consumer), || async move {
            self.inner_workloads(consumer, "bound")?.bound(op, consumer).await
        })
        .await
    }

    async fn patch(&self, consumer: &Ref, mounting: &Mounting) -> Result<(String, String)> {
        self.call(Call::reads("workloads.patch", &self.config).at(consumer), || async move {
            self.inner_workloads(consumer, "patch")?.patch(consumer, mounting).await
        })
        .await
    }
}
