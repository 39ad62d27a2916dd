//! `claviger.toml` for the planted estate.

use std::path::Path;

use anyhow::Result;

use super::Servers;
use crate::lab::ministack::REGION;
use crate::lab::private::write_private;

/// Writes `claviger.toml` with a backend per running server and one for the manifests. Paths are relative to it.
pub fn write(servers: &Servers<'_>, directory: &Path) -> Result<()> {
    let mut toml = String::from("# The lab's estate. Secrets are in the files beside this one.\n");
    toml.push_str("database = \"sqlite://claviger.db\"\nkeys = \"keys\"\n");
    if servers.kubernetes.is_some() {
        toml.push_str(concat!(
            "\n# May read all namespaces but `denied`; administrator.kubeconfig may do everything.\n",
            "[backends.prod]\nkind = \"kubernetes\"\nkubeconfig = \"claviger.kubeconfig\"\ncontext = \"lab\"\n",
            "labels = { env = \"prod\" }\n"
        ));
    }
    if let Some(server) = servers.openbao {
        toml.push_str(&format!(
            "\n[backends.vault]\nkind = \"vault\"\naddress = \"{}\"\ntoken = {{ file = \"openbao.token\" }}\n",
            server.address()
        ));
    }
    if let Some(server) = servers.ministack {
        toml.push_str(&format!(
            "\n[backends.aws]\nkind = \"aws\"\nregion = \"{REGION}\"\nendpoint = \"{}\"\n\
             access_key_id = {{ file = \"aws.key-id\" }}\nsecret_access_key = {{ file = \"aws.secret-key\" }}\n\
             # One server knows at once what AWS's many know after a while.\npropagation_seconds = 1\n",
            server.endpoint()
        ));
    }
    if let Some(server) = servers.postgres {
        toml.push_str(&format!(
            "\n[backends.db]\nkind = \"postgresql\"\nurl = \"postgres://claviger@127.0.0.1:{}/postgres\"\n\
             password = {{ file = \"db.password\" }}\n",
            server.port()
        ));
    }
    toml.push_str("\n[backends.repo]\nkind = \"manifest\"\npath = \"manifests\"\n");
    write_private(&directory.join("claviger.toml"), &toml)
}
