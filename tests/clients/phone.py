"""A client of the older API `phone`, which knows nothing of this service but its base URL."""

import sys

import requests

BASE = sys.argv[1]

PERSON = {
    "first_name": "Foo",
    "middle_name": "B",
    "last_name": "Bar",
    "password": "correct horse",
    "phone": "1234567890",
}


def sign_up(person: dict) -> dict:
    response = requests.post(f"{BASE}/signup", json=person)
    assert response.status_code == 201, response.text
    body = response.json()
    assert body["message"] == "User created"
    shown = {name: person.get(name) for name in ("first_name", "middle_name", "last_name", "phone")}
    assert body["user"] == {"_id": {"$oid": body["user"]["_id"]["$oid"]}, **shown}
    assert requests.post(f"{BASE}/signup", json=person).status_code == 409
    return body["user"]


def refuse_sign_up() -> None:
    for field in ("first_name", "last_name", "password", "phone"):
        person = {name: value for name, value in PERSON.items() if name != field}
        response = requests.post(f"{BASE}/signup", json=person)
        assert response.status_code == 400
        assert field in response.json()["error"]


def log_in(phone: str, password: str) -> dict:
    response = requests.post(f"{BASE}/login", json={"phone": phone, "password": password})
    assert response.status_code == 200, response.text
    body = response.json()
    assert sorted(body) == ["jwt_token", "session_token"]
    return {"Authorization": body["jwt_token"], "Session-Token": body["session_token"]}


def refuse_login(phone: str, password: str) -> None:
    response = requests.post(f"{BASE}/login", json={"phone": phone, "password": password})
    assert response.status_code == 401


def update(headers: dict, body: dict) -> requests.Response:
    return requests.put(f"{BASE}/user", headers=headers, json=body)


refuse_sign_up()
user = sign_up(PERSON)
other = sign_up({**PERSON, "middle_name": None, "phone": "+442079460958"})
refuse_login(PERSON["phone"], "wrong")
refuse_login("9999999999", PERSON["password"])
tokens = log_in(PERSON["phone"], PERSON["password"])
others = log_in(other["phone"], PERSON["password"])

response = update(tokens, {"_id": user["_id"], "first_name": "Baz", "phone": "1234567891"})
assert response.status_code == 200, response.text
changed = {**user, "first_name": "Baz", "phone": "1234567891"}
assert response.json() == {"message": "User updated", "user": changed}

mixed = {**tokens, "Session-Token": others["Session-Token"]}
for bad in ({}, mixed, {**tokens, "Authorization": "nonsense"}, {**tokens, "Session-Token": ""}):
    assert update(bad, {"_id": user["_id"], "first_name": "Foo"}).status_code == 401
assert update(tokens, {"_id": other["_id"], "first_name": "Foo"}).status_code == 403
assert update(tokens, {"first_name": "Foo"}).status_code == 400
assert update(tokens, {"_id": user["_id"], "first_name": 1}).status_code == 400

refuse_login(PERSON["phone"], PERSON["password"])
log_in("1234567891", PERSON["password"])
