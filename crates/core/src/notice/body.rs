use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{MOST_REFS, Notice};
use crate::{audit::AuditEntry, reference::Ref};

/// Bytes of one text of a chat message: Slack takes 3000 characters in a section.
const LONGEST: usize = 2_000;
/// Refs that a chat message names.
const NAMED: usize = 10;

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Standard Webhooks: `type`, `timestamp`, `data`.
    Generic,
    /// A message of Slack, and of whatever reads its messages.
    Slack,
}

/// What is sent of a notice: the same bytes each time.
pub fn body(shape: Shape, entry: &AuditEntry, notice: &Notice) -> String {
    let document = match shape {
        Shape::Generic => generic(entry, notice),
        Shape::Slack => slack(entry, notice),
    };
    document.to_string()
}

fn generic(entry: &AuditEntry, notice: &Notice) -> Value {
    let listed: Vec<_> = notice.refs.iter().take(MOST_REFS).collect();
    json!({
        "type": notice.event,
        "timestamp": entry.at,
        "data": {
            "schema": "claviger.notification/v1",
            "title": notice.title,
            "refs": listed,
            "more_refs": notice.refs.len() - listed.len(),
            "actor": entry.draft.actor,
            "subject": entry.draft.subject,
            "saga": entry.draft.saga,
            "audit_seq": entry.seq,
            "audit_hash": entry.hash,
            "detail": notice.detail,
        },
    })
}

fn slack(entry: &AuditEntry, notice: &Notice) -> Value {
    let title = escaped(&notice.title);
    let mut context = format!(
        "`{}` by {}, {}, audit entry {}",
        notice.event,
        escaped(&entry.draft.actor),
        entry.at.format("%Y-%m-%dT%H:%M:%SZ"),
        entry.seq.0
    );
    let named: Vec<_> = notice.refs.iter().take(NAMED).map(Ref::as_str).collect();
    if !named.is_empty() {
        let more = notice.refs.len() - named.len();
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        context.push_str(&format!("\n{}{more}", escaped(&named.join(", "))));
    }
    json!({
        "text": title,
        "blocks": [
            { "type": "section", "text": { "type": "mrkdwn", "text": title } },
            { "type": "context", "elements": [{ "type": "mrkdwn", "text": context }] },
        ],
    })
}

/// Names come from others: none becomes a link, a mention or a tag. Slack's rule: `&`, `<` and `>` are written as entities
/// (<https://docs.slack.dev/messaging/formatting-message-text>).
fn escaped(text: &str) -> String {
    let (mut escaped, mut buffer) = (String::new(), [0; 4]);
    for c in text.chars() {
        let written = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            c if c.is_control() => " ",
            c => c.encode_utf8(&mut buffer),
        };
        // What is counted is what Slack counts: the escaped text.
        if escaped.len() + written.len() > LONGEST {
            escaped.push('…');
            break;
        }
        escaped.push_str(written);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{audit::AuditKind, notice::tests::entry};

    fn told(shape: Shape, title: &str) -> Value {
        let entry = entry(AuditKind::Incident, "i-1", json!({ "kind": "opened", "title": title }));
        let notice = Notice::of(&entry).unwrap_or_else(|| panic!("nothing"));
        serde_json::from_str(&body(shape, &entry, &notice)).expect("JSON")
    }

    #[test]
    fn a_name_cannot_make_a_link_a_mention_or_a_tag() {
        let message = told(Shape::Slack, "<!channel> & <https://evil|x>\u{7}");
        let text = "incident i-1 was opened: &lt;!channel&gt; &amp; &lt;https://evil|x&gt; ";
        assert_eq!(message["text"], text);
        assert_eq!(message["blocks"][0]["text"]["text"], text);
        let all = message.to_string();
        assert!(!all.contains('<') && !all.contains("& "), "{all}");
        let long = told(Shape::Slack, &"&".repeat(10_000));
        let text = long["blocks"][0]["text"]["text"].as_str().unwrap_or_default();
        assert!((1_900..2_100).contains(&text.len()) && text.ends_with("&amp;…"), "{text}");
    }

    #[test]
    fn a_generic_body_tells_what_when_and_where_it_stands_in_the_log() {
        let body = told(Shape::Generic, "<key> in a gist");
        assert_eq!(body["type"], "incident.opened");
        assert_eq!(body["timestamp"], "1970-01-01T00:00:00Z");
        assert_eq!(body["data"]["title"], "incident i-1 was opened: <key> in a gist");
        assert_eq!((&body["data"]["audit_seq"], &body["data"]["actor"]), (&json!(7), &json!("dana@desk")));
        assert_eq!(body["data"]["audit_hash"].as_str().map(str::len), Some(64));
    }
}
