//! Answers that a real API server gives rarely or never: expired lists, heavy pages, broken and hostile bodies.

use std::{
    collections::BTreeMap,
    io::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use claviger_backend::{Backend as _, ErrorKind, Expect, Message, Operation, Phase, Store as _, channel};
use claviger_backend_kubernetes::{KubernetesBackend, KubernetesConfig, connect};
use claviger_core::{
    clock::SystemClock,
    id::OperationKey,
    model::{Scope, ScopeStatus},
    observation::{Content, Observation, ObservedCopy},
    reference::Ref,
    secret::SecretValue,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// Status, headers and body for a method and path.
struct Answer {
    status: u16,
    headers: &'static str,
    body: Vec<u8>,
    /// Announce more than is sent.
    cut: bool,
}

fn ok(body: impl Into<Vec<u8>>) -> Answer {
    Answer { status: 200, headers: "", body: body.into(), cut: false }
}

fn status(status: u16) -> Answer {
    Answer { status, ..ok(r#"{"kind":"Status","reason":"Expired"}"#) }
}

type Handler = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

async fn serve(connection: TcpStream, handler: Handler) {
    let mut connection = BufReader::new(connection);
    loop {
        let (mut request, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if connection.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line == "\r\n" {
                break;
            }
            if request.is_empty() {
                request = line;
            }
        }
        let mut body = vec![0; length];
        if connection.read_exact(&mut body).await.is_err() {
            return;
        }
        let answer = handler(request.trim_end().trim_end_matches(" HTTP/1.1"));
        let announced = answer.body.len() + usize::from(answer.cut);
        let head =
            format!("HTTP/1.1 {} x\r\ncontent-length: {announced}\r\n{}\r\n", answer.status, answer.headers);
        if connection.write_all(head.as_bytes()).await.is_err()
            || connection.write_all(&answer.body).await.is_err()
            || answer.cut
        {
            return;
        }
    }
}

/// A backend whose API server answers as told; unknown lists are empty, and there is one namespace, `ns`.
async fn backend(handler: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static) -> KubernetesBackend {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let handler: Handler = Arc::new(move |request| {
        handler(request).unwrap_or_else(|| {
            if request.starts_with("GET /api/v1/namespaces?") {
                ok(r#"{"metadata":{},"items":[{"metadata":{"name":"ns"}}]}"#)
            } else {
                ok(r#"{"metadata":{},"items":[]}"#)
            }
        })
    });
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(connection, handler.clone()));
        }
    });
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let kubeconfig = serde_json::json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
        "users": [{"name": "u", "user": {"token": "our-own-token"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]});
    file.write_all(kubeconfig.to_string().as_bytes()).expect("written");
    let config =
        KubernetesConfig { kubeconfig: Some(file.path().to_path_buf()), ..KubernetesConfig::default() };
    connect("prod", config, Arc::new(SystemClock)).await.expect("a kubeconfig")
}

type Ends = BTreeMap<Scope, (ScopeStatus, Option<String>)>;

async fn stores(backend: &KubernetesBackend) -> (Vec<ObservedCopy>, Ends) {
    let (mut sink, mut messages) = channel(1);
    let (mut copies, mut ends) = (Vec::new(), Ends::new());
    let read = async {
        let result = backend.inventory(Phase::Stores, &mut sink).await;
        drop(sink);
        result
    };
    let take = async {
        while let Some(message) = messages.recv().await {
            match message {
                Message::Page(page) => {
                    copies.extend(page.items.into_iter().filter_map(|item| match item {
                        Observation::Copy(copy) => Some(copy),
                        _ => None,
                    }));
                }
                Message::ScopeEnd { scope, status, reason } => {
                    ends.insert(scope, (status, reason));
                }
            }
        }
    };
    let (result, ()) = tokio::join!(read, take);
    result.expect("something can be read");
    (copies, ends)
}

fn end(ends: &Ends, part: &str) -> (ScopeStatus, String) {
    let (status, reason) = ends.get(&Scope::new("ns", part)).expect("the scope ended");
    (*status, reason.clone().unwrap_or_default())
}

fn page(names: std::ops::Range<usize>, next: &str) -> Answer {
    let items: Vec<_> =
        names.map(|name| serde_json::json!({"metadata": {"name": format!("s{name}"), "namespace": "ns"}, "data": {"k": "dg=="}})).collect();
    ok(serde_json::json!({"metadata": {"continue": next}, "items": items}).to_string())
}

#[tokio::test]
async fn a_list_that_expired_is_begun_anew() {
    let (starts, seconds) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, asked) = (starts.clone(), seconds.clone());
    let backend = backend(move |request| {
        if !request.starts_with("GET /api/v1/secrets?") {
            return None;
        }
        if !request.contains("continue=") {
            counted.fetch_add(1, Ordering::SeqCst);
            return Some(page(0..2, "next one"));
        }
        assert!(request.contains("continue=next%20one"), "{request}");
        Some(if asked.fetch_add(1, Ordering::SeqCst) == 0 { status(410) } else { page(2..3, "") })
    })
    .await;
    let (copies, ends) = stores(&backend).await;
    assert_eq!((starts.load(Ordering::SeqCst), seconds.load(Ordering::SeqCst)), (2, 2));
    let names: std::collections::BTreeSet<_> = copies.iter().map(|copy| copy.at.as_str()).collect();
    assert_eq!(names.len(), 3);
    assert_eq!(end(&ends, "secrets").0, ScopeStatus::Complete);
}

#[tokio::test]
async fn a_list_that_always_expires_has_failed() {
    let backend = backend(|request| {
        let secrets = request.starts_with("GET /api/v1/secrets?");
        secrets.then(|| if request.contains("continue=") { status(410) } else { page(0..1, "t") })
    })
    .await;
    let (_, ends) = stores(&backend).await;
    let (status, reason) = end(&ends, "secrets");
    assert_eq!(status, ScopeStatus::Failed);
    assert!(reason.contains("410 (Expired)"), "{reason}");
    assert_eq!(end(&ends, "configmaps").0, ScopeStatus::Complete, "the rest goes on");
}

#[tokio::test]
async fn a_server_that_repeats_a_page_does_not_keep_us() {
    let backend =
        backend(|request| request.starts_with("GET /api/v1/secrets?").then(|| page(0..1, "same"))).await;
    let (_, ends) = stores(&backend).await;
    assert_eq!(end(&ends, "secrets").0, ScopeStatus::Failed);
}

#[tokio::test]
async fn heavy_pages_are_asked_for_in_fewer_items() {
    const COUNT: usize = 40;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    let value = "eHh4".repeat(300_000);
    let backend = backend(move |request| {
        let query = request.strip_prefix("GET /api/v1/secrets?")?;
        let field = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        let limit: usize = field("limit").and_then(|limit| limit.parse().ok()).expect("a limit");
        let from: usize = field("continue").map_or(0, |token| token.parse().expect("our token"));
        let to = (from + limit).min(COUNT);
        let items: Vec<String> = (from..to)
            .map(|name| {
                format!(r#"{{"metadata":{{"name":"s{name}","namespace":"ns"}},"data":{{"k":"{value}"}}}}"#)
            })
            .collect();
        let next = if to < COUNT { to.to_string() } else { String::new() };
        let body = format!(r#"{{"metadata":{{"continue":"{next}"}},"items":[{}]}}"#, items.join(","));
        log.lock().expect("the log").push((limit, body.len()));
        Some(ok(body))
    })
    .await;
    let (copies, ends) = stores(&backend).await;
    assert_eq!(copies.len(), COUNT);
    assert_eq!(end(&ends, "secrets").0, ScopeStatus::Complete);
    let asked = asked.lock().expect("the log").clone();
    let limits: Vec<usize> = asked.iter().map(|(limit, _)| *limit).collect();
    // 64 and 8 were too heavy and dropped; one was light enough, and from it the right number was learnt.
    assert_eq!(&limits[..4], [64, 8, 1, 3], "{limits:?}");
    assert!(limits[3..].iter().all(|limit| (2..=4).contains(limit)), "{limits:?}");
    assert!(asked[2..].iter().all(|(_, bytes)| *bytes <= 8 << 20));
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    let backend = backend(move |request| {
        request.starts_with("GET /api/v1/secrets?").then(|| match counted.fetch_add(1, Ordering::SeqCst) {
            0 => Answer { headers: "retry-after: 0\r\n", ..status(429) },
            1 => status(503),
            _ => page(0..1, ""),
        })
    })
    .await;
    let (copies, ends) = stores(&backend).await;
    assert_eq!((copies.len(), tries.load(Ordering::SeqCst)), (1, 3));
    assert_eq!(end(&ends, "secrets").0, ScopeStatus::Complete);
}

fn deployment(revision: &str, replicas: u32, password: &str) -> serde_json::Value {
    serde_json::json!({
        "metadata": {"name": "web", "namespace": "ns", "annotations": {"deployment.kubernetes.io/revision": revision}},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [
            {"name": "c", "env": [{"name": "DB_PASSWORD", "value": password}], "args": [format!("--token={password}")],
             "envFrom": [{"secretRef": {"name": "db"}}]}]}}}})
}

fn replica_set(name: &str, revision: &str, replicas: u32, password: &str) -> serde_json::Value {
    let mut set = deployment(revision, replicas, password);
    set["metadata"]["name"] = name.into();
    set["metadata"]["creationTimestamp"] = "2026-01-02T03:04:05Z".into();
    set["metadata"]["ownerReferences"] =
        serde_json::json!([{"kind": "Deployment", "name": "web", "controller": true}]);
    set
}

#[tokio::test]
async fn old_replica_sets_hold_former_values_of_their_deployment() {
    let list = |items: serde_json::Value, next: &str| {
        ok(serde_json::json!({"metadata": {"continue": next}, "items": items}).to_string())
    };
    // Scaled to nothing, so that the number of replicas says nothing.
    let backend = backend(move |request| {
        if request.starts_with("GET /apis/apps/v1/deployments?") {
            return Some(list(serde_json::json!([deployment("10", 0, "new")]), ""));
        }
        let sets = request.strip_prefix("GET /apis/apps/v1/replicasets?")?;
        Some(if sets.contains("continue=") {
            list(serde_json::json!([replica_set("web-3", "10", 0, "new")]), "")
        } else {
            let old = [replica_set("web-1", "8", 0, "oldest"), replica_set("web-2", "9", 1, "older")];
            list(serde_json::json!(old), "more")
        })
    })
    .await;
    let (copies, ends) = stores(&backend).await;
    let found: Vec<_> = copies
        .iter()
        .filter(|copy| copy.at.as_str() == "prod/ns/Deployment/web#containers/c/env/DB_PASSWORD")
        .map(|copy| match &copy.content {
            Content::Value(value) => (copy.stage, copy.version.as_deref(), value.expose_text()),
            Content::Unreadable(_) => (copy.stage, copy.version.as_deref(), None),
        })
        .collect();
    use claviger_core::model::CopyStage::{Current, Former};
    assert_eq!(
        found,
        [
            (Current, Some("@"), Some("new")),
            (Former, Some("web-1"), Some("oldest")),
            (Former, Some("web-2"), Some("older")),
        ]
    );
    let former: Vec<_> = copies.iter().filter(|copy| copy.stage == Former).collect();
    assert_eq!(
        (copies.len(), former.len()),
        (6, 4),
        "the arguments too, and nothing of the present ReplicaSet"
    );
    assert!(former.iter().all(|copy| copy.created_at.is_none() && copy.updated_at.is_some()));
    assert!(
        former.iter().all(|copy| copy.attributes.is_empty() && copy.at.as_str().contains("/Deployment/"))
    );
    assert!(ends.values().all(|(status, _)| *status == ScopeStatus::Complete), "{ends:?}");
}

#[tokio::test]
async fn replica_sets_that_may_not_be_read_leave_the_workloads_whole() {
    let backend = backend(|request| request.contains("/replicasets?").then(|| status(403))).await;
    let (_, ends) = stores(&backend).await;
    assert_eq!(end(&ends, "workloads").0, ScopeStatus::Complete);
    let (status, reason) = end(&ends, "replicasets");
    assert_eq!(status, ScopeStatus::Denied);
    assert!(
        reason.contains("list replicasets in namespace ns") && reason.contains("verbs: [\"list\"]"),
        "{reason}"
    );
}

/// Everything that is logged, at any level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("the log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn broken_answers_fail_their_scope_and_show_nothing_of_themselves() {
    const CANARY: &str = "canary-7f3a";
    let log = Log::default();
    let written = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || written.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).expect("the only test that logs");
    let bodies: [(Vec<u8>, bool); 6] = [
        (format!("<html>{CANARY}</html>").into_bytes(), false),
        (
            format!(r#"{{"items":[{{"metadata":{{"name":"{CANARY}"}},"data":["{CANARY}"]}}]}}"#).into_bytes(),
            false,
        ),
        (format!(r#"{{"items":"{CANARY}"}}"#).into_bytes(), false),
        (format!(r#"{{"items":[{{"data":{{"a":"{CANARY}"#).into_bytes(), true),
        ([b"\xff\xfe".as_slice(), CANARY.as_bytes()].concat(), false),
        (Vec::new(), false),
    ];
    for (body, cut) in bodies {
        let backend = backend(move |request| {
            request.starts_with("GET /api/v1/secrets?").then(|| Answer { cut, ..ok(body.clone()) })
        })
        .await;
        let (_, ends) = stores(&backend).await;
        let (status, reason) = end(&ends, "secrets");
        assert_eq!(status, ScopeStatus::Failed);
        assert!(!reason.is_empty() && !reason.contains(CANARY), "{reason}");
        assert_eq!(end(&ends, "configmaps").0, ScopeStatus::Complete, "the rest goes on");
    }
    // A refusal that repeats the value, as admission webhooks do.
    let backend = backend(|request| {
        let refusal = || Answer { status: 422, ..ok(format!(r#"{{"kind":"Status","reason":"Invalid {CANARY}","message":"{CANARY}"}}"#)) };
        if request.starts_with("PATCH ") {
            return Some(refusal());
        }
        let secret = r#"{"metadata":{"name":"s","namespace":"ns","uid":"u","resourceVersion":"1"},"data":{"k":"dg=="}}"#;
        request.starts_with("GET /api/v1/namespaces/ns/secrets/s").then(|| ok(secret))
    })
    .await;
    let at = Ref::from_text("prod/ns/Secret/s#k");
    let version = backend.read(&at).await.expect("an answer").expect("a value").version;
    let op = Operation {
        key: OperationKey::derive(claviger_core::id::SagaId(Default::default()), "s", "t", 0),
        deadline: std::time::Duration::from_secs(5),
    };
    let value = SecretValue::from_text(CANARY.to_owned());
    let error = backend.write(&op, &at, &value, &Expect::Version(version)).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(!format!("{error:?} {error} {:?}", error.hint()).contains(CANARY));

    let log = String::from_utf8_lossy(&log.0.lock().expect("the log")).into_owned();
    assert!(log.contains("/api/v1/secrets"), "the log is looked at: {} bytes", log.len());
    assert!(!log.contains(CANARY) && !log.contains("our-own-token"), "a value is in the log");
}

#[tokio::test]
async fn hostile_names_are_names() {
    let hostile = "<b>\u{1b}[31m=cmd|' /C calc'!A0\u{0}../../#x";
    let item = serde_json::json!({
        "metadata": {"name": hostile, "namespace": "ns", "labels": {hostile: hostile}, "creationTimestamp": "not a time",
            "annotations": {"owner": hostile, "kubectl.kubernetes.io/last-applied-configuration": hostile, "claviger.dev/operations": "{"},
            "ownerReferences": [{"kind": hostile, "name": hostile}], "managedFields": [{"time": hostile, "fieldsV1": {"f:data": {hostile: {}}}}]},
        "type": hostile, "data": {hostile: "dg==", "bad": "%%%", "empty": ""},
    });
    let token = serde_json::json!({"metadata": {"name": "t", "namespace": "ns",
        "annotations": {"kubernetes.io/service-account.name": hostile}, "labels": {"kubernetes.io/legacy-token-last-used": hostile}},
        "type": "kubernetes.io/service-account-token", "data": {"token": "dg=="}});
    let body = serde_json::json!({"metadata": {}, "items": [item, token]}).to_string();
    let workload = serde_json::json!({"metadata": {}, "items": [{"metadata": {"name": hostile, "namespace": "ns"}, "spec": {"template": {"spec": {
        "containers": [{"name": hostile, "env": [{"name": hostile, "value": hostile}], "args": [hostile, format!("--{hostile}={hostile}")],
            "envFrom": [{}], "volumeMounts": [{}]}], "volumes": [{}, {"secret": {}}, {"projected": {"sources": [{}]}}]}}}}, {}]})
    .to_string();
    let backend = backend(move |request| {
        if request.starts_with("GET /apis/apps/v1/deployments?") {
            return Some(ok(workload.clone()));
        }
        request.starts_with("GET /api/v1/secrets?").then(|| ok(body.clone()))
    })
    .await;
    let (copies, ends) = stores(&backend).await;
    assert!(ends.values().all(|(status, _)| *status == ScopeStatus::Complete), "{ends:?}");
    assert!(copies.len() >= 6, "{}", copies.len());
    for copy in &copies {
        let printed = format!(
            "{} {} {:?} {:?} {:?} {:?}",
            copy.at, copy.key, copy.version, copy.labels, copy.owners, copy.attributes
        );
        assert!(
            !copy.at.as_str().contains('\0') && !copy.key.contains('\0') && !printed.contains("\\0"),
            "{printed}"
        );
    }
    let kept = copies
        .iter()
        .any(|copy| matches!(&copy.content, Content::Value(value) if value.expose() == hostile.as_bytes()));
    assert!(kept, "a value is never cleaned");
}
