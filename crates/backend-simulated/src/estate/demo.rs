//! The estate that `claviger demo` shows: small, and nasty in the ways in which real ones are.

mod forms;
mod maker;
mod payments;
mod platform;
mod shared;
mod shop;

use chrono::{DateTime, Utc};
use claviger_core::random::Random;

use self::maker::Maker;
use super::Estate;

/// The built-in estate, with ages that lie before `now`. Every value comes from `random`: no two estates share one.
///
/// | what is wrong | where |
/// | --- | --- |
/// | one database password in a path, a Secret and a ConfigMap's URL, 210 days old | `payments_app` |
/// | the path still keeps the former password | `shop_app` |
/// | a superuser's password as a literal in a Deployment | `batch_admin` |
/// | an md5 password, 800 days old, no owner | `reporting` |
/// | an API key, a cloud key and a pull secret in production and in development | namespaces `shop`, `shop-dev` |
/// | a cloud key that was never used, beside one that is | user `ci-deployer` |
/// | legacy tokens: one by hand with cluster-admin in a kubeconfig, one unused, one in use | `ci`, `legacy`, `shop` |
/// | a root token and one that never ends, copied into Secrets | `ci` |
/// | a mail password in a ConfigMap | `legacy` |
/// | a namespace and a path that we may not read | `hr`, `hr/payroll` |
pub fn demo(random: &dyn Random, now: DateTime<Utc>) -> Estate {
    let mut maker = Maker::new(random, now);
    payments::plant(&mut maker);
    shop::plant(&mut maker);
    platform::plant(&mut maker);
    shared::plant(&mut maker);
    maker.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::TimeZone;
    use claviger_core::random::SeededRandom;

    use super::*;
    use crate::estate::{EnvSource, Planted};

    fn values(estate: &Estate) -> BTreeSet<Vec<u8>> {
        let keep = |value: &Planted| value.expose().to_vec();
        let paths = estate.secret_store.paths.values().flat_map(|entry| &entry.versions);
        let mut all: BTreeSet<Vec<u8>> =
            paths.flat_map(|version| version.fields.values()).map(keep).collect();
        for namespace in estate.cluster.namespaces.values() {
            all.extend(namespace.secrets.values().flat_map(|secret| secret.data.values()).map(keep));
            let containers = namespace.deployments.values().flat_map(|held| &held.containers);
            all.extend(containers.flat_map(|container| container.env.values()).filter_map(|source| {
                match source {
                    EnvSource::Literal(value) => Some(keep(value)),
                    EnvSource::Field { .. } => None,
                }
            }));
        }
        all
    }

    #[test]
    fn no_secret_is_fixed_and_the_same_seed_gives_the_same_estate() {
        let now = Utc.with_ymd_and_hms(2031, 5, 1, 12, 0, 0).unwrap();
        let (one, two) = (demo(&SeededRandom::new(1), now), demo(&SeededRandom::new(2), now));
        let again = demo(&SeededRandom::new(1), now);
        assert_eq!(serde_json::to_string(&one).unwrap(), serde_json::to_string(&again).unwrap());
        let shared: Vec<_> = values(&one).intersection(&values(&two)).cloned().collect();
        let shared: Vec<String> = shared.into_iter().map(|bytes| String::from_utf8(bytes).unwrap()).collect();
        // What lies beside secrets and is none: user names, hosts, ports, names of databases, addresses.
        let public = [
            "5432",
            "analytics",
            "db.internal",
            "https://vault.internal:8200",
            "payments",
            "payments_app",
            "shop_app",
        ];
        assert_eq!(shared, public);
    }

    #[test]
    fn nothing_is_younger_than_the_clock_and_each_witness_works() {
        let now = Utc.with_ymd_and_hms(2031, 5, 1, 12, 0, 0).unwrap();
        let estate = demo(&SeededRandom::new(3), now);
        assert!(estate.database.roles.values().all(|role| role.created_at < now && role.rotated_at < now));
        let folder = tempfile::tempdir().unwrap();
        let file = crate::EstateFile::new(folder.path().join("estate.json"));
        file.create(&estate).unwrap();
        let observer = crate::observer::Observer::new("sim", file);
        let logins = observer.witness_logins(&claviger_core::clock::ManualClock::new(now)).unwrap();
        assert_eq!(logins.len(), 6);
        assert!(logins.iter().all(|login| login.accepted), "{logins:?}");
    }
}
