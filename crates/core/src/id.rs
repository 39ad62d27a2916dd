//! Newtypes for ids. An id never changes once it was given out.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{clock::Clock, random::Random};

/// A new time-ordered UUID (version 7, RFC 9562) from the given clock and randomness.
pub fn new_id(clock: &dyn Clock, random: &dyn Random) -> Uuid {
    let mut tail = [0_u8; 10];
    random.fill(&mut tail);
    let millis = u64::try_from(clock.now().timestamp_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id.
            pub fn generate(clock: &dyn Clock, random: &dyn Random) -> Self {
                Self(new_id(clock, random))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(
    /// One scan: its start is the epoch under which its pages are merged.
    ScanId
);
id!(
    /// An identity of the inventory.
    IdentityId
);
id!(
    /// A credential of the inventory.
    CredentialId
);
id!(
    /// A copy of the inventory.
    CopyId
);
id!(
    /// One saga: a rotation or a revocation.
    SagaId
);
id!(
    /// An incident.
    IncidentId
);
id!(
    /// A firing of a schedule: a credential and the instant at which it is due.
    FiringId
);
id!(
    /// A pause of what is scheduled.
    PauseId
);

impl FiringId {
    /// The id of this pair. It is derived, so that whoever plans the same firing gives it the same id.
    pub fn derive(credential: CredentialId, due_at: chrono::DateTime<chrono::Utc>) -> Self {
        Self(Uuid::new_v5(&credential.0, format!("firing\u{0}{}", due_at.timestamp_micros()).as_bytes()))
    }
}

impl IncidentId {
    /// Of what somebody reported by a request, named by the receiver and the request's own id: a UUIDv5, so that the same request opens the same incident.
    pub fn reported(receiver: &str, delivery: &str) -> Self {
        Self(Uuid::new_v5(
            &Uuid::NAMESPACE_URL,
            format!("claviger:reported:{receiver}\u{0}{delivery}").as_bytes(),
        ))
    }
}

impl CredentialId {
    /// Of the tokens that are bound to an object: a UUIDv5 of the object's ref, as no inventory lists them. The same ref gives the same id everywhere.
    pub fn bound_to(at: &str) -> Self {
        Self(Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("claviger:bound-to:{at}").as_bytes()))
    }
}

/// Key of one external effect: UUIDv5 of saga, step, target and generation of the value, never of the attempt, so that a repeat is
/// recognisable as a repeat at the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationKey(pub Uuid);

impl OperationKey {
    /// Derives the key. The same four inputs give the same key on every machine and in every version.
    pub fn derive(saga: SagaId, step: &str, target: &str, generation: u32) -> Self {
        let name = format!("{step}\u{0}{target}\u{0}{generation}");
        Self(Uuid::new_v5(&saga.0, name.as_bytes()))
    }
}

impl fmt::Display for OperationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Fencing epoch of a saga's owner: raised by each claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub i64);

/// Sequence number within one journal or within the audit log, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub i64);
