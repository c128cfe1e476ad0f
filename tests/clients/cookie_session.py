"""A client of the older API `cookie-session`, which knows nothing of this service but its base URL."""

import sys

import requests

BASE = sys.argv[1]

EMAIL = "julien@me.example"
PASSWORD = "b4l0u"
NEW_PASSWORD = "t4rt1fl3tt3"


def welcome() -> None:
    response = requests.get(f"{BASE}/")
    assert response.status_code == 200
    assert response.json() == {"message": "Bienvenue"}


def register(email: str, password: str) -> None:
    form = {"email": email, "password": password}
    response = requests.post(f"{BASE}/users", data=form)
    assert response.status_code == 200, response.text
    assert response.json() == {"email": email, "message": "user created"}
    response = requests.post(f"{BASE}/users", data=form)
    assert response.status_code == 400
    assert response.json() == {"message": "email already registered"}


def log_in_wrongly(email: str, password: str) -> None:
    form = {"email": email, "password": password}
    response = requests.post(f"{BASE}/sessions", data=form)
    assert response.status_code == 401
    assert response.cookies.get("session_id") is None


def log_in(email: str, password: str) -> str:
    form = {"email": email, "password": password}
    response = requests.post(f"{BASE}/sessions", data=form)
    assert response.status_code == 200, response.text
    assert response.json() == {"email": email, "message": "logged in"}
    return response.cookies["session_id"]


def profile_of_nobody() -> None:
    for cookies in ({}, {"session_id": ""}, {"session_id": "nope"}):
        response = requests.get(f"{BASE}/profile", cookies=cookies)
        assert response.status_code == 403


def profile(session_id: str, email: str) -> None:
    response = requests.get(f"{BASE}/profile", cookies={"session_id": session_id})
    assert response.status_code == 200
    assert response.json() == {"email": email}


def log_out(session_id: str) -> None:
    cookies = {"session_id": session_id}
    # The library follows the redirection.
    response = requests.delete(f"{BASE}/sessions", cookies=cookies)
    assert response.status_code == 200, response.text
    assert [step.status_code for step in response.history] == [302]
    assert response.url == f"{BASE}/"
    assert response.json() == {"message": "Bienvenue"}
    response = requests.delete(f"{BASE}/sessions", cookies=cookies)
    assert response.status_code == 403


def reset_token(email: str) -> str:
    response = requests.post(f"{BASE}/reset_password", data={"email": "nobody"})
    assert response.status_code == 403
    response = requests.post(f"{BASE}/reset_password", data={"email": email})
    assert response.status_code == 200
    body = response.json()
    assert sorted(body) == ["email", "reset_token"]
    assert body["email"] == email
    return body["reset_token"]


def update_password(email: str, token: str, new_password: str) -> None:
    form = {"email": email, "reset_token": token, "new_password": new_password}
    response = requests.put(f"{BASE}/reset_password", data=form)
    assert response.status_code == 200, response.text
    assert response.json() == {"email": email, "message": "Password updated"}
    response = requests.put(f"{BASE}/reset_password", data=form)
    assert response.status_code == 403


welcome()
for name in (EMAIL, "bob"):
    register(name, PASSWORD)
    log_in_wrongly(name, NEW_PASSWORD)
    profile_of_nobody()
    first = log_in(name, PASSWORD)
    profile(first, name)
    second = log_in(name, PASSWORD)
    assert requests.get(f"{BASE}/profile", cookies={"session_id": first}).status_code == 403
    profile(second, name)
    log_out(second)
    third = log_in(name, PASSWORD)
    update_password(name, reset_token(name), NEW_PASSWORD)
    assert requests.get(f"{BASE}/profile", cookies={"session_id": third}).status_code == 403
    log_in_wrongly(name, PASSWORD)
    profile(log_in(name, NEW_PASSWORD), name)
