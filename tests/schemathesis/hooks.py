"""What schemathesis can't know of the service."""

import os
import uuid

import schemathesis
from hypothesis import strategies as st

ADMIN_ID = os.environ["ADMIN_ID"]
ADMIN_PASSWORD = os.environ["ADMIN_PASSWORD"]
SESSION_ID = os.environ["SESSION_ID"]
CREDENTIALS = {"username": os.environ["LOGIN_USER"], "password": os.environ["LOGIN_PASSWORD"]}

# The service refuses the commonest passwords, and those with the account's address, phone number or nickname in
# them, which no schema can tell. These have no character in common with any of those.
schemathesis.openapi.format("password", st.text("αβγδεζηθικλμνξοπρστυφχψω", min_size=8, max_size=60))

# A schema can't tell which digits are a number of some country.
schemathesis.openapi.format(
    "phone-number", st.integers(2_000_000, 9_999_999).map(lambda n: f"+1 (415) {n // 10_000}-{n % 10_000:04}")
)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Keeps the session that the run lives on, and lets some logins be right."""
    # Whoever ends his own session, by a change of role or otherwise, is not found out by chance.
    # Reading oneself is left in.
    if (case.path_parameters or {}).get("user_id") == ADMIN_ID and case.method != "GET":
        case.path_parameters["user_id"] = str(uuid.uuid4())
    if (case.path_parameters or {}).get("session_id") == SESSION_ID:
        case.path_parameters["session_id"] = str(uuid.uuid4())
    body = case.body if isinstance(case.body, dict) else {}
    is_valid = case.meta is not None and case.meta.generation.mode.is_positive
    # Nor does he delete himself, or give himself a password that this run doesn't know.
    for member in ("password", "current_password"):
        if case.path.startswith("/me") and body.get(member) == ADMIN_PASSWORD:
            body[member] = "not my password"
    if case.path == "/me/password" and is_valid and len(body["new_password"]) % 2 == 0:
        body["current_password"] = body["new_password"] = ADMIN_PASSWORD
    if (
        case.path in ("/login/", "/sessions")
        and case.method == "POST"
        and is_valid
        and len(body.get("username", "")) % 2 == 0
    ):
        body.update(CREDENTIALS)


@schemathesis.check
def nothing_without_a_token(context, response, case):
    """Without a token, an operation that wants one answers 401, whatever else is wrong."""
    secured = case.operation.definition.raw.get("security")
    if secured and "Authorization" not in response.request.headers:
        # 404 and 405: not this operation after all.
        assert response.status_code in (401, 404, 405), f"{response.status_code} without a token"
