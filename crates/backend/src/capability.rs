/// What a backend can do. A plain struct: the planner reads it, the contract suite makes it evidence.
///
/// Naming: `<role method>` or `<role method>_<refinement>`. It is constant for a built backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capability {
    /// Streams an inventory.
    pub inventory: bool,
    /// [`Issuer::issue`](crate::Issuer::issue). Which value and from where it says of each credential: [`Offer`](crate::Offer).
    pub issue: bool,
    /// Of some credentials the issuer makes the value itself, and tells it once.
    pub issue_mints: bool,
    /// Of some credentials the issuer makes the value itself, under a name that follows from the operation:
    /// [`Issuer::issued`](crate::Issuer::issued).
    pub issue_by_name: bool,
    /// Of some credentials the issuer makes the value itself, tells it once, and keeps our operation key with it:
    /// [`Issuer::made_by`](crate::Issuer::made_by).
    pub issue_marks: bool,
    /// Beside some credentials the issuer takes another value that we make, and finds it again:
    /// [`Issuer::added`](crate::Issuer::added).
    pub issue_adds: bool,
    /// Of some credentials the issuer changes the value itself when it is asked to, and shows it: [`Issuer::held`](crate::Issuer::held).
    pub issue_asked: bool,
    /// Of some credentials the issuer changes the value itself when it is asked to, and shows nobody what it is:
    /// [`Issuer::connects`](crate::Issuer::connects).
    pub issue_hidden: bool,
    /// [`Issuer::siblings`](crate::Issuer::siblings).
    pub siblings: bool,
    /// [`Issuer::verify`](crate::Issuer::verify): logs in with a value.
    pub verify: bool,
    /// [`Issuer::identify`](crate::Issuer::identify): the issuer can say whose value this is.
    pub identify: bool,
    /// [`Issuer::restore`](crate::Issuer::restore): the former value can be put back without its plaintext.
    pub restore: bool,
    /// [`Issuer::disable`](crate::Issuer::disable) and [`Issuer::enable`](crate::Issuer::enable).
    pub disable: bool,
    /// [`Issuer::revoke`](crate::Issuer::revoke).
    pub revoke: bool,
    /// [`Turns`](crate::Turns): of some credentials, two users can take turns. For such a pair, and for no other credential unless its own flag
    /// says so, [`Issuer::siblings`](crate::Issuer::siblings), [`disable`](crate::Issuer::disable), [`enable`](crate::Issuer::enable) and
    /// [`revoke`](crate::Issuer::revoke) work too.
    pub alternate: bool,
    /// How long after a revocation or suspension the issuer may still accept the value out of a cache, in seconds: a receipt waits this long.
    pub revoke_cache_seconds: u32,
    /// [`Store::read`](crate::Store::read).
    pub read: bool,
    /// [`Store::write`](crate::Store::write).
    pub write: bool,
    /// Writes honour [`Expect::Version`](crate::Expect::Version).
    pub write_with_expect: bool,
    /// [`Store::write_together`](crate::Store::write_together): several fields of one object at once.
    pub write_together: bool,
    /// [`Store::pending`](crate::Store::pending) and [`Store::clear_pending`](crate::Store::clear_pending).
    pub pending: bool,
    /// The store keeps former versions by itself.
    pub write_keeps_former: bool,
    /// [`Letterbox::post`](crate::Letterbox::post): some places take a value and show none.
    pub post: bool,
    /// Those places keep no word of ours beside the value: a write is known by its time alone, and an interrupted one cannot be told from somebody
    /// else's ([`Marked::written_by`](crate::Marked) is never there).
    pub post_unmarked: bool,
    /// [`Runtime::refresh`](crate::Runtime::refresh).
    pub refresh: bool,
    /// [`Runtime::adopted`](crate::Runtime::adopted).
    pub adopted: bool,
    /// [`Runtime::repoint`](crate::Runtime::repoint), with [`Runtime::repointable`](crate::Runtime::repointable) and
    /// [`Runtime::repointed`](crate::Runtime::repointed).
    pub repoint: bool,
    /// [`Federation`](crate::Federation): short-lived identities of workloads are accepted here.
    pub federate: bool,
    /// [`Workloads`](crate::Workloads): manifests of workloads can be changed, so that they have them.
    pub bind: bool,
    /// The same role where nobody but a workload's own runs is given its token, and its manifest is changed by its owner
    /// ([`Holder::runs`](crate::Holder)).
    pub vouch: bool,
}

/// Can the target hold two accepted values of one credential at the same time?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// One: setting the new one ends the old one. Setting is the pivot.
    #[default]
    None,
    /// Several: the old value goes on beside the new one until it is ended. Two users that take turns are two credentials:
    /// [`Turns`](crate::Turns).
    Dual,
}

/// Where a new value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ValueOrigin {
    /// We make it and set it (a database password).
    #[default]
    SetByUs,
    /// The issuer makes it and tells us once (an IAM key).
    Minted,
    /// The same, and it keeps our operation key with it (a Vault token).
    MintedMarked,
    /// The issuer changes it itself when it is asked to, takes none from us, and shows what it is (a static role of Vault).
    Asked,
    /// The issuer changes it itself when it is asked to, and shows nobody what it is: it alone logs in with it (the root credential of Vault's
    /// database engine).
    Hidden,
    /// The issuer makes it for a name that we choose and can read again (a Kubernetes token Secret).
    MintedByName,
}
