//! Tokens that name their vendor by a prefix. To add one: a line in the table.

use crate::model::CredentialKind;

/// One recognised form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vendor {
    /// Who issued it.
    pub name: &'static str,
    /// What it is, in the vendor's words.
    pub form: &'static str,
    /// Our kind.
    pub kind: CredentialKind,
}

struct Rule {
    prefix: &'static str,
    /// Length of what follows the prefix, least and most.
    rest: (usize, usize),
    vendor: Vendor,
}

const fn rule(
    prefix: &'static str,
    least: usize,
    most: usize,
    name: &'static str,
    form: &'static str,
    kind: CredentialKind,
) -> Rule {
    Rule { prefix, rest: (least, most), vendor: Vendor { name, form, kind } }
}

use CredentialKind::{ApiKey, Token, WebhookSecret};

/// Longer prefixes before shorter ones that they start with.
const RULES: &[Rule] = &[
    rule("glpat-", 20, 300, "gitlab", "personal-access-token", Token),
    rule("gldt-", 20, 300, "gitlab", "deploy-token", Token),
    rule("glrt-", 20, 300, "gitlab", "runner-token", Token),
    rule("glrtr-", 20, 300, "gitlab", "runner-registration-token", Token),
    rule("glptt-", 20, 300, "gitlab", "trigger-token", Token),
    rule("glagent-", 20, 300, "gitlab", "agent-token", Token),
    rule("glcbt-", 10, 300, "gitlab", "ci-job-token", Token),
    rule("glimt-", 20, 300, "gitlab", "incoming-mail-token", Token),
    rule("glsoat-", 20, 300, "gitlab", "scim-token", Token),
    rule("gloas-", 20, 300, "gitlab", "oauth-application-secret", ApiKey),
    rule("xoxb-", 20, 300, "slack", "bot-token", ApiKey),
    rule("xoxp-", 20, 300, "slack", "user-token", ApiKey),
    rule("xoxa-", 20, 300, "slack", "workspace-token", ApiKey),
    rule("xoxr-", 20, 300, "slack", "refresh-token", ApiKey),
    rule("xoxs-", 20, 300, "slack", "session-token", ApiKey),
    rule("xoxe-", 20, 400, "slack", "configuration-token", ApiKey),
    rule("xapp-", 20, 300, "slack", "app-token", ApiKey),
    rule("https://hooks.slack.com/services/", 30, 120, "slack", "incoming-webhook", WebhookSecret),
    rule("https://discord.com/api/webhooks/", 40, 140, "discord", "incoming-webhook", WebhookSecret),
    rule("sk_live_", 20, 250, "stripe", "secret-key", ApiKey),
    rule("sk_test_", 20, 250, "stripe", "test-secret-key", ApiKey),
    rule("rk_live_", 20, 250, "stripe", "restricted-key", ApiKey),
    rule("rk_test_", 20, 250, "stripe", "test-restricted-key", ApiKey),
    rule("whsec_", 24, 120, "stripe", "webhook-signing-secret", WebhookSecret),
    rule("sk-ant-", 30, 250, "anthropic", "api-key", ApiKey),
    rule("sk-proj-", 40, 300, "openai", "project-key", ApiKey),
    rule("sk-svcacct-", 40, 300, "openai", "service-account-key", ApiKey),
    rule("sk-admin-", 40, 300, "openai", "admin-key", ApiKey),
    rule("hf_", 30, 60, "huggingface", "access-token", ApiKey),
    rule("AIza", 35, 35, "google", "api-key", ApiKey),
    rule("GOCSPX-", 28, 28, "google", "oauth-client-secret", ApiKey),
    rule("ya29.", 20, 2048, "google", "oauth-access-token", Token),
    rule("hvs.", 20, 400, "vault", "service-token", Token),
    rule("hvb.", 60, 800, "vault", "batch-token", Token),
    rule("hvr.", 20, 400, "vault", "recovery-token", Token),
    rule("dop_v1_", 64, 64, "digitalocean", "personal-access-token", ApiKey),
    rule("doo_v1_", 64, 64, "digitalocean", "oauth-token", ApiKey),
    rule("dapi", 32, 34, "databricks", "personal-access-token", ApiKey),
    rule("dp.pt.", 40, 44, "doppler", "personal-token", Token),
    rule("dp.st.", 40, 80, "doppler", "service-token", Token),
    rule("pypi-AgE", 80, 400, "pypi", "api-token", Token),
    rule("dckr_pat_", 24, 60, "docker-hub", "personal-access-token", Token),
    rule("dckr_oat_", 24, 60, "docker-hub", "organization-access-token", Token),
    rule("SG.", 66, 66, "sendgrid", "api-key", ApiKey),
    rule("key-", 32, 32, "mailgun", "api-key", ApiKey),
    rule("shpat_", 32, 32, "shopify", "access-token", ApiKey),
    rule("shpss_", 32, 32, "shopify", "shared-secret", ApiKey),
    rule("lin_api_", 40, 40, "linear", "api-key", ApiKey),
    rule("glsa_", 41, 41, "grafana", "service-account-token", Token),
    rule("glc_", 32, 400, "grafana", "cloud-token", Token),
    rule("pul-", 40, 40, "pulumi", "access-token", Token),
    rule("tskey-", 20, 80, "tailscale", "key", ApiKey),
    rule("NRAK-", 27, 27, "newrelic", "user-key", ApiKey),
    rule("sq0csp-", 43, 43, "square", "oauth-secret", ApiKey),
    rule("AGE-SECRET-KEY-1", 58, 58, "age", "identity", CredentialKind::PrivateKey),
    rule("ops_ey", 200, 4000, "1password", "service-account-token", Token),
    rule("PMAK-", 50, 64, "postman", "api-key", ApiKey),
    rule("rubygems_", 48, 48, "rubygems", "api-key", Token),
    rule("cio", 32, 32, "crates-io", "api-token", Token),
    rule("sgp_", 40, 60, "sourcegraph", "access-token", Token),
    rule("nvapi-", 60, 70, "nvidia", "api-key", ApiKey),
    rule("gsk_", 50, 60, "groq", "api-key", ApiKey),
    rule("r8_", 37, 40, "replicate", "api-token", ApiKey),
];

/// Recognises a token by prefix, length and characters.
pub fn parse(text: &str) -> Option<Vendor> {
    if text.len() > 4096 || !text.bytes().all(is_token_byte) {
        return None;
    }
    let by_prefix = RULES.iter().find(|rule| {
        text.strip_prefix(rule.prefix).is_some_and(|rest| (rule.rest.0..=rule.rest.1).contains(&rest.len()))
    });
    if let Some(rule) = by_prefix {
        return Some(rule.vendor);
    }
    by_shape(text)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'~' | b':' | b'/' | b'+' | b'=')
}

/// Forms whose mark is not at the start.
fn by_shape(text: &str) -> Option<Vendor> {
    let named = |name, form, kind| Some(Vendor { name, form, kind });
    // Terraform Cloud: 14 characters, `.atlasv1.`, 60 or more.
    if let Some((id, rest)) = text.split_once(".atlasv1.")
        && id.len() == 14
        && rest.len() >= 60
    {
        return named("terraform", "api-token", Token);
    }
    // OpenAI's first keys carry the mark in the middle.
    if text.starts_with("sk-") && text.contains("T3BlbkFJ") {
        return named("openai", "api-key", ApiKey);
    }
    // Azure client secret: three characters, a digit, `Q~`, 31 to 34 characters.
    let bytes = text.as_bytes();
    if (37..=40).contains(&bytes.len()) && bytes[3].is_ascii_digit() && &bytes[4..6] == b"Q~" {
        return named("azure", "client-secret", ApiKey);
    }
    // Vault before 1.10: `s.` and 24 characters; batch tokens `b.`. OpenBao keeps the short prefixes.
    let short = |prefix: &str, least: usize| {
        text.strip_prefix(prefix).is_some_and(|rest| {
            rest.len() >= least
                && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
                && rest.bytes().any(|byte| byte.is_ascii_uppercase())
                && rest.bytes().any(|byte| byte.is_ascii_lowercase())
        })
    };
    if short("s.", 24) && text.len() <= 40 {
        return named("vault", "service-token", Token);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_recognises_its_own_shortest_token_and_nothing_shorter() {
        for rule in RULES {
            let text = format!("{}{}", rule.prefix, "a".repeat(rule.rest.0));
            let found = parse(&text).unwrap_or_else(|| panic!("{} is not recognised", rule.prefix));
            assert_eq!((found.name, found.form), (rule.vendor.name, rule.vendor.form));
            let short = &text[..text.len() - 1];
            assert_ne!(parse(short), Some(rule.vendor), "{} is too short", rule.prefix);
        }
    }

    #[test]
    fn marks_inside() {
        assert_eq!(
            parse(&format!("{}.atlasv1.{}", "a".repeat(14), "b".repeat(67))).map(|v| v.name),
            Some("terraform")
        );
        assert_eq!(parse(&format!("abc8Q~{}", "d".repeat(34))).map(|v| v.name), Some("azure"));
        assert_eq!(parse("s.Zx9QbTuv1mNk3Lr7PcYd2WsE").map(|v| v.name), Some("vault"));
    }

    #[test]
    fn ordinary_texts_are_nobodys() {
        for text in [
            "",
            "s.service.cluster.local.example",
            "s.internal-name-of-a-service.local",
            "hello",
            "sk-learn",
            "glpat-${TOKEN_FROM_ENV}",
            "key-of-the-cache",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
