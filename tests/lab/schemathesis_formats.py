"""What the API's description calls a format, and schemathesis cannot know: texts that are one."""

import base64

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
