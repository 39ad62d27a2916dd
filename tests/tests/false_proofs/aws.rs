//! Access keys at STS.

use std::sync::Arc;

use claviger_backend::Backend as _;
use claviger_backend_aws::{AwsBackend, AwsConfig};
use claviger_core::{clock::SystemClock, reference::Ref, secret::SecretValue};

use crate::{
    Row, ask, judged,
    stub::{Answer, Asked, HTML, Stub, XML, nobody},
};

const PROVER: &str = "IAM access key";
const OURS: &str = "AKIAOURSOURSOURSOURS";
const THEIRS: &str = "AKIATHEIRSTHEIRSTHEI";

fn says(status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    );
    (status, XML, body)
}

fn known() -> Answer {
    let body = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Arn>arn:aws:iam::1:user/claviger</Arn><UserId>AIDA</UserId><Account>1</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";
    (200, XML, body.to_owned())
}

fn is_ours(asked: &Asked) -> bool {
    asked.who.contains(OURS)
}

async fn at(endpoint: String, cause: &'static str, genuine: bool) -> Row {
    let text = |text: &str| Some(SecretValue::from_text(text.to_owned()));
    let config = AwsConfig {
        region: Some("eu-central-1".to_owned()),
        endpoint: Some(endpoint),
        access_key_id: text(OURS),
        secret_access_key: text("our-own-secret"),
        ..AwsConfig::default()
    };
    let backend = AwsBackend::new("aws", config, Arc::new(SystemClock)).expect("a backend");
    let subject = Ref::from_text(format!("aws/iam/user/media/access-key/{THEIRS}"));
    ask(PROVER, cause, genuine, backend.issuer().expect("an issuer"), (&subject, "the-leaked-secret")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_stss_own_refusal_of_a_key_is_one() {
    type Handler = fn(&Asked) -> Option<Answer>;
    let causes: [(&'static str, bool, Handler); 12] = [
        ("STS refuses the key, and not us", true, |asked| {
            Some(if is_ours(asked) { known() } else { says(403, "InvalidClientTokenId", "no such key") })
        }),
        ("wrong host: it refuses everybody", false, |_| {
            Some(says(403, "InvalidClientTokenId", "no such key"))
        }),
        ("wrong host: no signature is right there", false, |_| {
            Some(says(403, "SignatureDoesNotMatch", "no"))
        }),
        ("403 AccessDenied", false, |asked| {
            Some(if is_ours(asked) { known() } else { says(403, "AccessDenied", "an explicit deny") })
        }),
        ("a gateway's 403", false, |asked| {
            Some(if is_ours(asked) { known() } else { (403, HTML, "<h1>Blocked</h1>".to_owned()) })
        }),
        ("a gateway's 401", false, |asked| {
            Some(if is_ours(asked) { known() } else { (401, HTML, "<h1>Log in</h1>".to_owned()) })
        }),
        ("throttled: Throttling", false, |asked| {
            Some(if is_ours(asked) { known() } else { says(400, "Throttling", "rate exceeded") })
        }),
        ("throttled: 429", false, |_| Some((429, XML, String::new()))),
        ("not serving: 503", false, |_| Some(says(503, "ServiceUnavailable", "later"))),
        ("our clock is wrong", false, |asked| {
            let late = says(403, "SignatureDoesNotMatch", "Signature expired: 1 is now earlier than 2");
            Some(if is_ours(asked) { known() } else { late })
        }),
        ("we are throttled when we compare", false, |asked| {
            let throttled = says(400, "Throttling", "rate exceeded");
            Some(if is_ours(asked) { throttled } else { says(403, "InvalidClientTokenId", "no such key") })
        }),
        ("another server: 200 for everything", false, |_| Some((200, HTML, "<h1>It works</h1>".to_owned()))),
    ];
    let mut rows = Vec::new();
    for (cause, genuine, handler) in causes {
        let stub = Stub::start(None, handler).await;
        rows.push(at(format!("http://{}", stub.address), cause, genuine).await);
        if cause.starts_with("STS") {
            rows.push(
                at(format!("https://{}", stub.address), "TLS failure: the server speaks none", false).await,
            );
        }
    }
    rows.push(at(format!("http://{}", nobody().await), "target down", false).await);
    println!("{}", judged(&rows, 14));
}
