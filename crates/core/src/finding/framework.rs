//! How requirements are named. The publishers' own spelling: OWASP writes `NHI7:2025`, NIST CSF 2.0 two-digit subcategories (`PR.AA-01`);
//! the ids of a CIS benchmark mean something only together with the benchmark's name and version.

/// `(framework, version, id)`.
pub(super) type Requirement = (&'static str, &'static str, &'static str);

/// OWASP Non-Human Identities Top 10, 2025.
pub(super) const fn nhi(id: &'static str) -> Requirement {
    ("OWASP NHI Top 10", "2025", id)
}

/// NIST Cybersecurity Framework 2.0 (NIST CSWP 29).
pub(super) const fn csf(id: &'static str) -> Requirement {
    ("NIST CSF", "2.0", id)
}

/// NIST SP 800-53 revision 5.
pub(super) const fn sp800_53(id: &'static str) -> Requirement {
    ("NIST SP 800-53", "r5", id)
}

/// CIS Kubernetes Benchmark 1.10.
pub(super) const fn cis_kubernetes(id: &'static str) -> Requirement {
    ("CIS Kubernetes", "1.10", id)
}

/// CIS Google Kubernetes Engine Benchmark 1.6.0. Its numbers differ from those of the Kubernetes benchmark.
pub(super) const fn cis_gke(id: &'static str) -> Requirement {
    ("CIS GKE", "1.6.0", id)
}

/// PCI DSS 4.0.1.
pub(super) const fn pci_dss(id: &'static str) -> Requirement {
    ("PCI DSS", "4.0.1", id)
}

/// ISO/IEC 27001:2022, Annex A.
pub(super) const fn iso_27001(id: &'static str) -> Requirement {
    ("ISO/IEC 27001", "2022", id)
}
