use crate::access::Verb;

/// A route, and what somebody must be allowed to do, somewhere, to be let in. Where that is the handler looks at: at what it is done to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// One of these.
    pub(super) verbs: &'static [Verb],
}

const fn to(method: &'static str, path: &'static str, verbs: &'static [Verb]) -> Route {
    Route { method, path, verbs }
}

/// All of them. One that is not here lets nobody in.
pub(super) const ROUTES: &[Route] = &[
    to("GET", "/api/v1/credentials", &[Verb::Read]),
    to("GET", "/api/v1/credentials/{id}", &[Verb::Read]),
    to("GET", "/api/v1/credentials/{id}/policy", &[Verb::Read]),
    to("GET", "/api/v1/identities", &[Verb::Read]),
    to("GET", "/api/v1/copies", &[Verb::Read]),
    to("GET", "/api/v1/consumers", &[Verb::Read]),
    to("GET", "/api/v1/connections", &[Verb::Read]),
    to("GET", "/api/v1/proposals", &[Verb::Read]),
    to("GET", "/api/v1/findings", &[Verb::Read]),
    to("GET", "/api/v1/schedules", &[Verb::Read]),
    to("GET", "/api/v1/drills", &[Verb::Read]),
    to("POST", "/api/v1/drills", &[Verb::Drill]),
    to("GET", "/api/v1/rotations", &[Verb::Read]),
    to("POST", "/api/v1/rotations", &[Verb::Rotate]),
    to("GET", "/api/v1/rotations/{id}", &[Verb::Read]),
    to("GET", "/api/v1/rotations/{id}/events", &[Verb::Read]),
    to("POST", "/api/v1/rotations/{id}/rollback-plan", &[Verb::RollBack]),
    to("POST", "/api/v1/rotations/{id}/rollback", &[Verb::RollBack]),
    to("POST", "/api/v1/rotations/{id}/resume", &[Verb::Rotate]),
    to("GET", "/api/v1/revocations", &[Verb::Read]),
    to("POST", "/api/v1/revocations", &[Verb::Revoke]),
    to("GET", "/api/v1/revocations/{id}", &[Verb::Read]),
    to("GET", "/api/v1/revocations/{id}/events", &[Verb::Read]),
    to("POST", "/api/v1/revocations/{id}/resume", &[Verb::Revoke]),
    to("POST", "/api/v1/rotations/{id}/resolve", &[Verb::Rotate]),
    to("POST", "/api/v1/revocations/{id}/resolve", &[Verb::Revoke]),
    to("GET", "/api/v1/swaps", &[Verb::Read]),
    to("POST", "/api/v1/swaps", &[Verb::Rotate]),
    to("GET", "/api/v1/swaps/{id}", &[Verb::Read]),
    to("GET", "/api/v1/swaps/{id}/events", &[Verb::Read]),
    to("POST", "/api/v1/swaps/{id}/rollback-plan", &[Verb::RollBack]),
    to("POST", "/api/v1/swaps/{id}/rollback", &[Verb::RollBack]),
    to("POST", "/api/v1/swaps/{id}/resume", &[Verb::Rotate]),
    to("POST", "/api/v1/swaps/{id}/resolve", &[Verb::Rotate]),
    to("POST", "/api/v1/resumptions", &[Verb::Rotate, Verb::Revoke]),
    to("POST", "/api/v1/traces", &[Verb::Trace]),
    to("POST", "/api/v1/verifications", &[Verb::Scan]),
    to("GET", "/api/v1/reports/{kind}", &[Verb::Read]),
    to("GET", "/api/v1/policies", &[Verb::Read]),
    to("POST", "/api/v1/plans", &[Verb::PlanRotation, Verb::PlanRevocation]),
    to("GET", "/api/v1/plans/{hash}", &[Verb::ReadPlan]),
    to("POST", "/api/v1/plans/{hash}/approvals", &[Verb::Approve]),
    to("GET", "/api/v1/incidents", &[Verb::Read]),
    to("POST", "/api/v1/incidents", &[Verb::Incident]),
    to("GET", "/api/v1/incidents/{id}", &[Verb::Read]),
    to("POST", "/api/v1/incidents/{id}/close", &[Verb::Incident]),
    to("GET", "/api/v1/firings", &[Verb::Read]),
    to("POST", "/api/v1/pauses", &[Verb::Schedule]),
    to("POST", "/api/v1/pauses/{id}/end", &[Verb::Schedule]),
    to("POST", "/api/v1/scans", &[Verb::Scan]),
    to("GET", "/api/v1/scans/newest", &[Verb::Read]),
    to("GET", "/api/v1/permissions", &[Verb::Scan]),
    to("GET", "/api/v1/notifications", &[Verb::Audit]),
    to("GET", "/api/v1/audit/verification", &[Verb::Audit]),
    to("GET", "/api/v1/audit/export", &[Verb::Audit]),
    to("GET", "/api/v1/audit/checkpoint", &[Verb::Audit]),
];

/// The route that was matched.
pub(super) fn find(method: &str, path: &str) -> Option<&'static Route> {
    // What answers GET answers HEAD.
    let method = if method == "HEAD" { "GET" } else { method };
    ROUTES.iter().find(|route| route.method == method && route.path == path)
}
