//! The contract suite on a folder.

use std::{process::ExitCode, sync::Arc};

use claviger_backend::contract::{Fixture, trials};
use claviger_backend_manifest::{ManifestBackend, ManifestConfig};
use claviger_core::{clock::SystemClock, secret::SecretValue};

fn main() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    write(
        "k8s/db.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: contract-canary-1}\n",
    );
    write("k8s/broken.yaml", "password: contract-canary-2\nlist: [unclosed\n");
    write(".env", "API_KEY=contract-canary-3\n");
    let config = ManifestConfig { path: folder.path().to_owned(), repository: None };
    let backend = ManifestBackend::open("repo", config, Arc::new(SystemClock)).expect("opens");
    let secrets = (1..=3).map(|number| SecretValue::from_text(format!("contract-canary-{number}"))).collect();
    let fixture = Fixture { secrets, ..Fixture::default() };
    libtest_mimic::run(&arguments, trials("manifest", Arc::new(backend), fixture)).exit_code()
}
