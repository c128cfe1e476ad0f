#!/bin/sh
# Lets schemathesis loose on a throw-away server, as administrator and as nobody: every check that
# it has, against what the OpenAPI document promises. The argument is the program.
# SEED=<number> tries other requests, EXAMPLES=<number> more of them.
set -eu
program=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
. "$here/debian.sh"
. "$here/outside.sh"
tests=$here/../tests/schemathesis
work=$(realpath "${CARGO_TARGET_DIR:-$here/../target}")/schemathesis
mkdir -p "$work"
cd "$work"

make_venv "$tests/requirements.txt"

export ADMIN_USER=admin@example.org ADMIN_PASSWORD='Secure*1234'
export MAX_LOGIN_ATTEMPTS=100 RATE_LIMITS=off LOG_FORMAT=json
serve_ephemeral "$program"
url=$(member url <ready.json)

token=$(curl --fail --silent --show-error --data-urlencode "username=$ADMIN_USER" \
  --data-urlencode "password=$ADMIN_PASSWORD" "$url/login/" | member access_token)
as_admin="Authorization: Bearer $token"
users() { curl --fail --silent --show-error --header "$as_admin" "$url/users/"; }
ADMIN_ID=$(users | python3 -c 'import json, sys; print(json.load(sys.stdin)["items"][0]["id"])')
SESSION_ID=$(curl --fail --silent --show-error --header "$as_admin" "$url/sessions" |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["items"][0]["id"])')

# Somebody else logs in during the run: of one account fifty sessions stay.
LOGIN_USER=login@example.org LOGIN_PASSWORD='Secure*1234'
curl --fail --silent --show-error --output /dev/null "$url/register/" \
  --json "{\"email\": \"$LOGIN_USER\", \"password\": \"$LOGIN_PASSWORD\"}"
link=
until [ "$link" ]; do
  link=$(curl --fail --silent --show-error --header 'Accept: application/json' "$url/dev/mail" |
    python3 -c 'import json, sys; print(*[link for mail in json.load(sys.stdin) for link in mail["links"]][:1])')
  sleep 0.1
done
curl --fail --silent --show-error --output /dev/null "$link"
export ADMIN_ID SESSION_ID LOGIN_USER LOGIN_PASSWORD

try() {
  SCHEMATHESIS_HOOKS=$tests/hooks.py PYTHONDONTWRITEBYTECODE=1 \
    venv/bin/st --config-file "$tests/schemathesis.toml" run --seed "${SEED:-1}" \
      --max-examples "${EXAMPLES:-50}" --no-color "$@" "$url/openapi.json"
}
echo "As administrator:"
# The run lives on one session: it can't try to end that.
try --exclude-operation-id end_current_session --header "$as_admin"
users >/dev/null || { echo "The administrator's session ended: most requests tried nothing." >&2; exit 1; }
echo "As nobody:"
# That most answers are 401 needs no warning.
try --warnings off
if grep -E '"status":500|"level":"ERROR"' server.log; then
  exit 1
fi
