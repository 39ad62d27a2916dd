//! A role in the place of an access key: made, become with a workload's token, compared with the key, taken away again.

use claviger_backend::{Candidate, Federation, Holder, Offered, Proposal, Reads, StoreState, Verdict};
use claviger_core::saga::Arrangement;
use claviger_tests::{lab::tls, require_lab};
use jsonwebtoken::{Algorithm, EncodingKey, Header};

use super::*;

const ISSUER: &str = "https://cluster.example/id/7";
const SUBJECT: &str = "system:serviceaccount:payments:web";

/// A cluster's issuer of tokens, which ministack does not ask for its keys.
struct Cluster(EncodingKey);

impl Cluster {
    fn new() -> Self {
        let (key, _) = tls::rsa_key().expect("a key");
        Self(EncodingKey::from_rsa_pem(key.as_bytes()).expect("a key"))
    }

    fn token(&self, issuer: &str, subject: &str, audience: &str) -> SecretValue {
        let claims = json!({"iss": issuer, "sub": subject, "aud": audience, "exp": 4_102_444_800_u64});
        value(&jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.0).expect("a token"))
    }

    fn good(&self) -> SecretValue {
        self.token(ISSUER, SUBJECT, "sts.amazonaws.com")
    }
}

/// A user `ci` with rights of its own, of a managed policy and of a group, and its key: (subject, secret).
fn planted(server: &Ministack) -> (Ref, SecretValue) {
    let (id, secret) = user_with(server, "ci", &allow(&["secretsmanager:ListSecrets"], "*"));
    seed(
        server,
        &[
            (
                "iam",
                "create_open_id_connect_provider",
                json!({"Url": ISSUER, "ClientIDList": ["sts.amazonaws.com"], "ThumbprintList": ["0".repeat(40)]}),
            ),
            (
                "iam",
                "create_policy",
                json!({"PolicyName": "parameters", "PolicyDocument": allow(&["ssm:DescribeParameters"], "*")}),
            ),
            (
                "iam",
                "attach_user_policy",
                json!({"UserName": "ci", "PolicyArn": "arn:aws:iam::000000000000:policy/parameters"}),
            ),
            ("iam", "create_group", json!({"GroupName": "ops"})),
            (
                "iam",
                "put_group_policy",
                json!({"GroupName": "ops", "PolicyName": "roles", "PolicyDocument": allow(&["iam:ListRoles"], "*")}),
            ),
            ("iam", "add_user_to_group", json!({"GroupName": "ops", "UserName": "ci"})),
        ],
    );
    (at(&format!("iam/user/ci/access-key/{id}")), value(&secret))
}

fn holder() -> Holder {
    Holder {
        consumer: Ref::from_text("prod/payments/Deployment/web"),
        account: Ref::from_text("prod/payments/ServiceAccount/web"),
        reads: Reads::Fixed("read-once", "read when it starts".to_owned()),
        changeable: StoreState::Writable,
        notes: Vec::new(),
        issuer: Some(ISSUER.to_owned()),
        runs: None,
    }
}

fn federation(backend: &AwsBackend) -> &dyn Federation {
    backend.federation().expect("a system of short-lived identities")
}

async fn offered(backend: &AwsBackend, subject: &Ref, holder: &Holder) -> Offered {
    let object = Ref::from_text("prod/payments/Secret/aws");
    let issuer = backend.info();
    let candidate = Candidate { subject, issuer, identity: None, object: &object, holder };
    federation(backend).offers(&candidate).await.expect("an answer")
}

fn yes(offered: Offered) -> Proposal {
    match offered {
        Offered::Yes(proposal) => *proposal,
        Offered::No { code, reason } => panic!("{code}: {reason}"),
    }
}

fn no(offered: Offered) -> &'static str {
    match offered {
        Offered::No { code, .. } => code,
        Offered::Yes(proposal) => panic!("{proposal:?}"),
    }
}

/// The login's verdict, and what it and the key may do.
async fn verdict(backend: &AwsBackend, arrangement: &Arrangement, token: &SecretValue) -> Verdict {
    federation(backend).login(arrangement, token).await.expect("an answer").probe.verdict
}

#[tokio::test]
async fn a_role_takes_a_keys_place_with_the_same_rights_and_no_others() {
    let server = require_lab!(Ministack::start().await);
    let (backend, cluster) = (root(&server), Cluster::new());
    let (subject, secret) = planted(&server);
    let proposal = yes(offered(&backend, &subject, &holder()).await);
    let arrangement = proposal.arrangement;
    assert_eq!(arrangement.at.as_str(), "aws/iam/role/claviger-ci-payments-web");
    let arn = "arn:aws:iam::000000000000:role/claviger-ci-payments-web";
    assert_eq!(proposal.mounting.account_annotations["eks.amazonaws.com/role-arn"], arn);
    assert_eq!(proposal.mounting.variables["AWS_ROLE_ARN"], arn);

    let (federation, op) = (federation(&backend), operation("swap"));
    assert!(
        matches!(verdict(&backend, &arrangement, &cluster.good()).await, Verdict::Refused(_)),
        "not made yet"
    );
    assert!(!federation.federated(&op, &arrangement).await.expect("an answer"));
    for _ in 0..2 {
        federation.federate(&op, &arrangement).await.expect("a role");
        assert!(federation.federated(&op, &arrangement).await.expect("an answer"));
    }
    let other = federation.federate(&operation("another"), &arrangement).await.expect_err("not its own");
    assert_eq!(other.kind(), claviger_backend::ErrorKind::Conflict);
    assert!(!federation.federated(&operation("another"), &arrangement).await.expect("an answer"));

    let new = federation.login(&arrangement, &cluster.good()).await.expect("an answer");
    assert_eq!(new.probe.verdict, Verdict::Accepted);
    assert!(new.ends_at.is_some());
    let old = federation.reach(&subject, &secret).await.expect("an answer");
    assert_eq!(old.probe.verdict, Verdict::Accepted);
    assert_eq!(old.may, new.may);
    for (call, answer) in [
        ("secretsmanager:ListSecrets", "answered"),
        ("ssm:DescribeParameters", "answered"),
        ("iam:ListRoles", "answered"),
        ("iam:ListUsers", "denied"),
    ] {
        assert!(new.may.contains(&format!("{call} is {answer}")), "{call}: {:?}", new.may);
    }

    // Another account of the cluster, another audience, another cluster: none of them becomes the role.
    for (issuer, who, audience) in [
        (ISSUER, "system:serviceaccount:payments:other", "sts.amazonaws.com"),
        (ISSUER, SUBJECT, "https://kubernetes.default.svc"),
        ("https://other.example", SUBJECT, "sts.amazonaws.com"),
    ] {
        let token = cluster.token(issuer, who, audience);
        let answer = assume(&server, arn, &token);
        assert_eq!(answer["Error"]["Code"], "AccessDenied", "{who} for {audience}: {answer}");
        assert!(matches!(verdict(&backend, &arrangement, &token).await, Verdict::Inconclusive(_)));
    }

    // A right more is seen, and so is a role that somebody changed.
    seed(
        &server,
        &[(
            "iam",
            "put_user_policy",
            json!({"UserName": "ci", "PolicyName": "more", "PolicyDocument": allow(&["iam:ListUsers"], "*")}),
        )],
    );
    let more = federation.reach(&subject, &secret).await.expect("an answer");
    assert!(more.may.contains("iam:ListUsers is answered") && more.may != new.may);
    let role = "claviger-ci-payments-web";
    let admin = "arn:aws:iam::aws:policy/AdministratorAccess";
    seed(&server, &[("iam", "attach_role_policy", json!({"RoleName": role, "PolicyArn": admin}))]);
    assert!(!federation.federated(&op, &arrangement).await.expect("an answer"));
    assert!(matches!(verdict(&backend, &arrangement, &cluster.good()).await, Verdict::Inconclusive(_)));

    federation.unfederate(&operation("another"), &arrangement).await.expect("not its own: nothing");
    assert!(role_exists(&server, role));
    for _ in 0..2 {
        federation.unfederate(&op, &arrangement).await.expect("taken away");
        assert!(!role_exists(&server, role));
    }
    let old = federation.reach(&subject, &secret).await.expect("an answer");
    assert_eq!(old.probe.verdict, Verdict::Accepted, "the key works as before");
}

fn assume(server: &Ministack, arn: &str, token: &SecretValue) -> Value {
    let token = token.expose_text().expect("a token");
    let parameters = json!({"RoleArn": arn, "RoleSessionName": "pod", "WebIdentityToken": token});
    let call = Call { service: "sts", operation: "assume_role_with_web_identity", parameters };
    server.calls(&[call]).expect("an answer").remove(0)
}

fn role_exists(server: &Ministack, name: &str) -> bool {
    let call = Call { service: "iam", operation: "get_role", parameters: json!({"RoleName": name}) };
    server.calls(&[call]).expect("an answer")[0].get("Error").is_none()
}

#[tokio::test]
async fn what_cannot_be_carried_over_refuses_the_plan() {
    let server = require_lab!(Ministack::start().await);
    let backend = root(&server);
    let (subject, _) = planted(&server);
    let other = at("secretsmanager/db#password");
    assert_eq!(no(offered(&backend, &other, &holder()).await), "not-federated");
    let unknown = Holder { issuer: Some("https://other.example".to_owned()), ..holder() };
    assert_eq!(no(offered(&backend, &subject, &unknown).await), "issuer-unknown");
    let nobody = Holder { issuer: None, ..holder() };
    assert_eq!(no(offered(&backend, &subject, &nobody).await), "no-issuer");
    let role = json!({"RoleName": "claviger-ci-payments-web", "AssumeRolePolicyDocument": allow(&["sts:AssumeRole"], "*")});
    seed(&server, &[("iam", "create_role", role)]);
    assert_eq!(no(offered(&backend, &subject, &holder()).await), "name-taken");
    seed(&server, &[("iam", "delete_role", json!({"RoleName": "claviger-ci-payments-web"}))]);
    let own = allow(&["s3:GetObject"], "arn:aws:s3:::home/${aws:username}/*");
    seed(
        &server,
        &[("iam", "put_user_policy", json!({"UserName": "ci", "PolicyName": "home", "PolicyDocument": own}))],
    );
    assert_eq!(no(offered(&backend, &subject, &holder()).await), "rights-not-portable");
}
