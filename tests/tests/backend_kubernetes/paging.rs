//! Many Secrets, and heavy ones.

use claviger_tests::require_lab;

use super::*;

/// Peak resident set of this process in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

#[tokio::test]
async fn more_secrets_than_fit_on_a_page_are_all_read_once() {
    let cluster = require_lab!(Kubernetes::shared().await);
    for (ns, count) in [("many-a", 700), ("many-b", 3), ("many-c", 0)] {
        namespace(cluster, ns, json!({}));
        let secrets: Vec<Value> = (0..count)
            .map(|index| {
                secret(ns, &format!("s-{index:04}"), "Opaque", &[("v", format!("{ns}-{index}").as_bytes())])
            })
            .collect();
        if !secrets.is_empty() {
            cluster.create(&secrets).expect("Secrets");
        }
    }
    let mut seen = Seen::default();
    scan_phase(&admin(cluster, &["many-*"]).await, Phase::Stores, &mut seen).await;
    let mut values: Vec<&str> =
        seen.copies.iter().map(text).filter(|text| text.starts_with("many-")).collect();
    assert_eq!(values.len(), 703);
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), 703);
    for ns in ["many-a", "many-b", "many-c"] {
        assert_eq!(seen.end(ns, "secrets").0, ScopeStatus::Complete, "also of an empty namespace");
    }
    assert!(!seen.ends.keys().any(|scope| scope.area == "kube-system"), "only what was chosen");

    // All but the excluded, in one list with a field selector.
    let mut chosen = config(cluster.kubeconfig(), &[]);
    chosen.exclude = vec!["many-a".to_owned()];
    let backend = connect("prod", chosen, Arc::new(SystemClock)).await.expect("a kubeconfig");
    let mut seen = Seen::default();
    scan_phase(&backend, Phase::Stores, &mut seen).await;
    assert!(seen.copies.iter().any(|copy| copy.at.as_str().starts_with("prod/many-b/")));
    assert!(!seen.copies.iter().any(|copy| copy.at.as_str().starts_with("prod/many-a/")));
    assert!(
        seen.ends.contains_key(&Scope::new("kube-system", "secrets"))
            && !seen.ends.contains_key(&Scope::new("many-a", "secrets"))
    );
}

#[tokio::test]
async fn heavy_secrets_do_not_make_the_memory_grow() {
    let cluster = require_lab!(Kubernetes::shared().await);
    let ns = "heavy";
    namespace(cluster, ns, json!({}));
    let heavy = "h".repeat(900 << 10);
    for part in 0..6 {
        let secrets: Vec<Value> = (0..10)
            .map(|index| secret(ns, &format!("s-{part}-{index}"), "Opaque", &[("v", heavy.as_bytes())]))
            .collect();
        cluster.create(&secrets).expect("Secrets");
    }
    let report = measured(cluster.kubeconfig(), ns);
    println!("60 Secrets of 900 KiB, 54 MiB in all: {report:?}");
    assert_eq!(report.copies, 60);
    assert!(report.heaviest <= 2 << 20, "a message of {} bytes", report.heaviest);
    assert!(report.grown_kib < 32 << 10, "the peak grew by {} KiB", report.grown_kib);
}

/// What one scan cost.
#[derive(Debug)]
struct Report {
    copies: u64,
    heaviest: u64,
    grown_kib: u64,
}

const KUBECONFIG: &str = "CLAVIGER_MEASURED_KUBECONFIG";
const NAMESPACE: &str = "CLAVIGER_MEASURED_NAMESPACE";

/// Scans in a process of its own: in this one the other tests run, and what planted the Secrets has left its traces.
fn measured(kubeconfig: &Path, ns: &str) -> Report {
    let output = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", "paging::measured_scan", "--nocapture"])
        .env(KUBECONFIG, kubeconfig)
        .env(NAMESPACE, ns)
        .output()
        .expect("a process");
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = text
        .lines()
        .find_map(|line| line.split_once("measured: "))
        .map(|(_, numbers)| numbers.split(' ').filter_map(|number| number.parse().ok()).collect())
        .unwrap_or_default();
    let [copies, heaviest, grown_kib] = numbers[..] else { panic!("no measurement: {text}") };
    Report { copies, heaviest, grown_kib }
}

#[tokio::test]
#[ignore = "run by the tests that measure, in a process of its own"]
async fn measured_scan() {
    // No test by itself: whoever runs all that is ignored runs the tests that measure too.
    let Some(kubeconfig) = std::env::var_os(KUBECONFIG) else { return };
    let ns = std::env::var(NAMESPACE).expect("a namespace");
    let backend = connect("prod", config(Path::new(&kubeconfig), &[&ns]), Arc::new(SystemClock))
        .await
        .expect("a kubeconfig");
    let before = peak_kib();
    let (mut sink, mut messages) = channel(1);
    let read = async {
        let result = backend.inventory(Phase::Stores, &mut sink).await;
        drop(sink);
        result
    };
    let (mut count, mut heaviest) = (0, 0);
    let take = async {
        while let Some(message) = messages.recv().await {
            let Message::Page(page) = message else { continue };
            let values = page.items.iter().filter_map(|item| match item {
                Observation::Copy(ObservedCopy { content: Content::Value(value), key, .. }) if key == "v" => {
                    Some(value.len())
                }
                _ => None,
            });
            let bytes: Vec<usize> = values.collect();
            count += bytes.len();
            heaviest = heaviest.max(bytes.iter().sum());
        }
    };
    let (result, ()) = tokio::join!(read, take);
    result.expect("the cluster can be read");
    println!("measured: {count} {heaviest} {}", peak_kib() - before);
}
