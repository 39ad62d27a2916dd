"""What the API's description calls a format, and schemathesis cannot know: texts that are one."""

import base64
import uuid

import schemathesis
from hypothesis import strategies as st

SELECTORS = [
    "*",
    "sim/db/role/app_000",
    "sim/db/*",
    "kind=password",
    "kind=password backend=sim",
    "owner=nobody",
    "label.env=prod",
    "finding=long-lived*",
    "created-before=90d",
    "nowhere/at/all",
]
CONDITIONS = ["copies > 0", 'kind == "password"', "age_days != null && age_days > 90", "true", "false"]

schemathesis.openapi.format("selector", st.sampled_from(SELECTORS))
schemathesis.openapi.format("condition", st.sampled_from(CONDITIONS))
schemathesis.openapi.format(
    "cursor",
    st.binary(min_size=20, max_size=20).map(lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("=")),
)
schemathesis.openapi.format("idempotency-key", st.uuids().map(str))


@schemathesis.hook
def before_call(context, case, kwargs):
    """A key for each request: given to two, the second is refused, which has a test of its own."""
    headers = case.headers or {}
    for name in list(headers):
        if name.lower() == "idempotency-key" and is_uuid(headers[name]):
            headers[name] = str(uuid.uuid4())


def is_uuid(text):
    try:
        return str(uuid.UUID(text)) == text
    except (ValueError, AttributeError, TypeError):
        return False
