// A client of the older API `mflix`, which knows nothing of this service but its base URL. The other
// arguments are the address and the password of an administrator.

import assert from "node:assert/strict";

const [base, adminEmail, adminPassword] = process.argv.slice(2);
const user = `${base}/api/v1/user`;

async function call(method, path, { token, body } = {}) {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  const response = await fetch(user + path, {
    method,
    headers,
    body: body && JSON.stringify(body),
  });
  return [response.status, await response.json()];
}

const foo = { name: "foobar", email: "foo@example.com", password: "foobarbaz" };
const taken = { error: { email: "A user with the given email already exists." } };
const wrong = { error: { password: "Make sure your password is correct." } };

// Registering logs in.
let [status, made] = await call("POST", "/register", { body: foo });
assert.equal(status, 201, JSON.stringify(made));
assert.equal(typeof made.auth_token, "string");
assert.deepEqual(made, {
  auth_token: made.auth_token,
  info: { email: foo.email, name: foo.name, preferences: {} },
});
assert.deepEqual(await call("POST", "/register", { body: foo }), [400, taken]);
assert.deepEqual(
  await call("POST", "/register", { body: { ...foo, name: "foo", password: "foobar" } }),
  [
    411,
    {
      status: "fail",
      error: {
        password: "Your password must be at least 8 characters.",
        name: "You must specify a name of at least 3 characters.",
      },
    },
  ],
);
for (const body of [{ ...foo, email: 1 }, { name: foo.name, email: foo.email }]) {
  const [status, refused] = await call("POST", "/register", { body });
  assert.equal(status, 400);
  assert.equal(typeof refused.error, "string");
}

// A login ends the session before it.
assert.deepEqual(
  await call("POST", "/login", { body: { email: foo.email, password: "wrong password" } }),
  [401, wrong],
);
assert.deepEqual(
  await call("POST", "/login", { body: { email: "nobody@example.com", password: "foobarbaz" } }),
  [401, wrong],
);
const credentials = { email: foo.email, password: foo.password };
let loggedIn;
[status, loggedIn] = await call("POST", "/login", { body: credentials });
assert.equal(status, 201);
assert.deepEqual(loggedIn.info, {
  email: foo.email,
  name: foo.name,
  preferences: {},
  isAdmin: false,
});
let token = loggedIn.auth_token;
[status] = await call("POST", "/logout", { token: made.auth_token });
assert.equal(status, 401);

// Preferences.
const preferences = { favorite_cast: ["Meg Ryan"], preferred_ratings: [{ G: true }] };
let updated;
[status, updated] = await call("PUT", "/update-preferences", { token, body: { preferences } });
assert.equal(status, 201);
assert.deepEqual(updated.info, { email: foo.email, name: foo.name, preferences });
token = updated.auth_token;
[status] = await call("PUT", "/update-preferences", { token: "nonsense", body: { preferences } });
assert.equal(status, 401);

// Administrators.
assert.deepEqual(await call("GET", "/admin", { token }), [401, { status: "fail" }]);
const admin = { email: adminEmail, password: adminPassword };
let chief;
[status, chief] = await call("POST", "/login", { body: admin });
assert.equal(status, 201, JSON.stringify(chief));
assert.equal(chief.info.isAdmin, true);
assert.deepEqual(await call("GET", "/admin", { token: chief.auth_token }), [
  202,
  { status: "success" },
]);

// Out, and in again with what was kept.
assert.deepEqual(await call("POST", "/logout", { token }), [201, { status: "logged out" }]);
[status] = await call("POST", "/logout", { token });
assert.equal(status, 401);
[status, loggedIn] = await call("POST", "/login", { body: credentials });
assert.equal(status, 201);
assert.deepEqual(loggedIn.info.preferences, preferences);
token = loggedIn.auth_token;

// Gone.
assert.deepEqual(
  await call("DELETE", "/delete", { token, body: { password: "wrong password" } }),
  [401, wrong],
);
assert.deepEqual(await call("DELETE", "/delete", { token, body: { password: foo.password } }), [
  201,
  { status: "deleted" },
]);
[status] = await call("POST", "/logout", { token });
assert.equal(status, 401);
assert.deepEqual(await call("POST", "/login", { body: credentials }), [401, wrong]);
