//! What can be known of an old value's uses before it is ended, and whether that is enough for its policy.

use claviger_core::{reference::Ref, saga::Evidence};

use super::{Refusal, refuse, strategy::Strategy};
use crate::policy::Policy;

/// The best grade that there can be. `None` where the old value ends with the change itself, so that nothing is waited for.
fn grade(strategy: &Strategy<'_>) -> Option<Evidence> {
    match strategy {
        Strategy::Replace | Strategy::Asked | Strategy::Root | Strategy::CopyOnly | Strategy::Reissue => None,
        // Secret-ids and tokens have no last use.
        Strategy::Dual(_) | Strategy::Told(_) => Some(Evidence::Blind),
        Strategy::Alternating(..) => Some(Evidence::Sampled),
        Strategy::Minted(_, offer) | Strategy::Named(_, offer) if offer.last_used_grain > 0 => {
            Some(Evidence::Sampled)
        }
        Strategy::Minted(..) | Strategy::Named(..) => Some(Evidence::Measured),
    }
}

/// Refuses what could only be ended on less than the policy wants. A policy that says nothing takes the best that there is.
pub(super) fn enough(at: &Ref, strategy: &Strategy<'_>, policy: Option<&Policy>) -> Result<(), Refusal> {
    let wanted = policy.and_then(|policy| Some((policy.name.as_str(), policy.evidence?)));
    match (grade(strategy), wanted) {
        (Some(best), Some((name, least))) if best < least => {
            let reason = format!(
                "policy `{name}` wants `{}` evidence that nobody uses the old value before it is ended, and of its issuer there is `{}` at most: lower `evidence` for it, or move its consumers and end it by hand with `claviger revoke`",
                least.word(),
                best.word()
            );
            Err(refuse(at, "evidence", reason))
        }
        _ => Ok(()),
    }
}
