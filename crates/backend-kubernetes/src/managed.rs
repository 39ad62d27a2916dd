//! Which other system writes an object: a value changed behind its back is changed back.

use crate::wire::Meta;

/// The system that owns the object, with a name where it gives one: `ExternalSecret/db`, `helm/web`, `argocd/payments`.
pub(crate) fn managed_by(meta: &Meta<'_>) -> Option<String> {
    let named = |system: &str, name: Option<&str>| match name.filter(|name| !name.is_empty()) {
        Some(name) => format!("{system}/{}", name.replace('\0', "\u{fffd}")),
        None => system.to_owned(),
    };
    // A controller that made the object re-makes it; that outranks whoever deployed the controller's own object.
    if let Some(owner) =
        meta.owner_references.iter().find(|owner| owner.controller).or(meta.owner_references.first())
    {
        return Some(named(&owner.kind.plain(), Some(owner.name.as_str())));
    }
    let annotation = |key: &str| meta.annotations.get(key);
    let label = |key: &str| meta.labels.get(key);
    if label("reconcile.external-secrets.io/managed") == Some("true") {
        return Some("external-secrets".to_owned());
    }
    if label("secrets-store.csi.k8s.io/managed") == Some("true") {
        return Some("secrets-store-csi".to_owned());
    }
    if let Some(name) = annotation("cert-manager.io/certificate-name") {
        return Some(named("cert-manager", Some(name)));
    }
    // OpenShift's, which makes the certificate of a Service anew before it ends.
    for key in [
        "service.beta.openshift.io/originating-service-name",
        "service.alpha.openshift.io/originating-service-name",
    ] {
        if let Some(name) = annotation(key) {
            return Some(named("service-ca", Some(name)));
        }
    }
    if let Some(id) = annotation("argocd.argoproj.io/tracking-id") {
        return Some(named("argocd", id.split(':').next()));
    }
    if let Some(name) = label("argocd.argoproj.io/instance") {
        return Some(named("argocd", Some(name)));
    }
    if let Some(name) = label("kustomize.toolkit.fluxcd.io/name") {
        return Some(named("flux", Some(name)));
    }
    if let Some(name) = label("helm.toolkit.fluxcd.io/name") {
        return Some(named("flux", Some(name)));
    }
    match label("app.kubernetes.io/managed-by") {
        Some(system) if system.eq_ignore_ascii_case("helm") => {
            return Some(named("helm", annotation("meta.helm.sh/release-name")));
        }
        // "Managed by" is also said by people of themselves; these are systems that write.
        Some(system)
            if ["terraform", "pulumi", "argocd", "flux", "crossplane", "ansible"]
                .contains(&system.to_ascii_lowercase().as_str()) =>
        {
            return Some(system.to_ascii_lowercase());
        }
        _ => {}
    }
    let wrote = |manager: &str| {
        meta.managed_fields.iter().any(|entry| {
            entry.manager.as_str().eq_ignore_ascii_case(manager) && !entry.fields.data.0.is_empty()
        })
    };
    ["Terraform", "pulumi-kubernetes", "argocd-controller", "kustomize-controller", "helm-controller"]
        .into_iter()
        .find(|manager| wrote(manager))
        .map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    fn managed(json: &str) -> Option<String> {
        managed_by(&wire::read::<Meta<'_>>(json.as_bytes()).expect("metadata"))
    }

    #[test]
    fn systems_that_write_are_recognised() {
        for (json, expected) in [
            (
                r#"{"ownerReferences":[{"kind":"ExternalSecret","name":"db","controller":true}]}"#,
                Some("ExternalSecret/db"),
            ),
            (r#"{"ownerReferences":[{"kind":"SealedSecret","name":"db"}]}"#, Some("SealedSecret/db")),
            (r#"{"annotations":{"cert-manager.io/certificate-name":"web"}}"#, Some("cert-manager/web")),
            (
                r#"{"annotations":{"service.beta.openshift.io/originating-service-name":"web"}}"#,
                Some("service-ca/web"),
            ),
            (
                r#"{"labels":{"app.kubernetes.io/managed-by":"Helm"},"annotations":{"meta.helm.sh/release-name":"web"}}"#,
                Some("helm/web"),
            ),
            (
                r#"{"annotations":{"argocd.argoproj.io/tracking-id":"shop:/Secret:shop/db"}}"#,
                Some("argocd/shop"),
            ),
            (r#"{"labels":{"kustomize.toolkit.fluxcd.io/name":"apps"}}"#, Some("flux/apps")),
            (
                r#"{"managedFields":[{"manager":"Terraform","fieldsV1":{"f:data":{"f:a":{}}}}]}"#,
                Some("terraform"),
            ),
            (r#"{"managedFields":[{"manager":"Terraform","fieldsV1":{"f:metadata":{}}}]}"#, None),
            (r#"{"labels":{"app.kubernetes.io/managed-by":"dana"}}"#, None),
            ("{}", None),
        ] {
            assert_eq!(managed(json).as_deref(), expected, "{json}");
        }
    }
}
