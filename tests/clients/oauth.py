"""Stock OAuth2 clients: two libraries as they come, which log in by the password flow, refresh by
themselves, revoke and introspect. The arguments: the base URL, the name and the password of a user, and
the name and the secret of a service."""

import os
import sys

# The server under test is on this machine.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"

import requests
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from oauthlib.oauth2 import InvalidGrantError, LegacyApplicationClient
from requests_oauthlib import OAuth2Session

BASE, NAME, PASSWORD, SERVICE, SECRET = sys.argv[1:]
TOKENS = f"{BASE}/login/"


def is_good(session: requests.Session) -> bool:
    response = session.get(f"{BASE}/me")
    assert response.status_code in (200, 401), response.text
    return response.status_code == 200


def requests_oauthlib() -> None:
    kept = []
    session = OAuth2Session(
        client=LegacyApplicationClient(client_id="an application"),
        auto_refresh_url=TOKENS,
        token_updater=kept.append,
    )
    try:
        session.fetch_token(TOKENS, username=NAME, password="wrong password")
        raise AssertionError("a wrong password was taken")
    except InvalidGrantError:
        pass
    first = session.fetch_token(TOKENS, username=NAME, password=PASSWORD)
    assert is_good(session) and not kept
    session.token = {**first, "expires_in": -1, "expires_at": 1}
    assert is_good(session)
    assert len(kept) == 1
    assert kept[0]["access_token"] != first["access_token"]
    assert kept[0]["refresh_token"] != first["refresh_token"]


def authlib() -> None:
    kept = []
    session = AuthlibSession(
        "an application",
        token_endpoint=TOKENS,
        update_token=lambda token, refresh_token=None, access_token=None: kept.append(token),
    )
    first = dict(session.fetch_token(TOKENS, username=NAME, password=PASSWORD))
    assert is_good(session) and not kept
    session.token = {**first, "expires_at": 1}
    assert is_good(session)
    assert len(kept) == 1
    token = dict(session.token)
    assert token["access_token"] != first["access_token"]

    service = AuthlibSession(SERVICE, SECRET)
    told = service.introspect_token(
        f"{BASE}/token/introspect", token=token["access_token"], token_type_hint="access_token"
    )
    assert told.status_code == 200, told.text
    assert told.json()["active"] is True
    assert told.json()["token_type"] == "Bearer"
    told = AuthlibSession(SERVICE, "another secret").introspect_token(
        f"{BASE}/token/introspect", token=token["access_token"]
    )
    assert told.status_code == 401

    revoked = session.revoke_token(
        f"{BASE}/token/revoke", token=token["refresh_token"], token_type_hint="refresh_token"
    )
    assert revoked.status_code == 200, revoked.text
    told = service.introspect_token(f"{BASE}/token/introspect", token=token["access_token"])
    assert told.json() == {"active": False}
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    assert requests.get(f"{BASE}/me", headers=headers).status_code == 401


requests_oauthlib()
authlib()
