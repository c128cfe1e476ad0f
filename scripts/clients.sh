#!/bin/sh
# Runs clients of the older APIs, and stock OAuth2 clients, against a throw-away server, as they would
# run against the services that they were written for. The argument is the program.
set -eu
program=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
. "$here/debian.sh"
. "$here/outside.sh"
clients=$here/../tests/clients
work=$(realpath "${CARGO_TARGET_DIR:-$here/../target}")/clients
mkdir -p "$work"
cd "$work"

command -v node >/dev/null || install_packages nodejs
make_venv "$clients/requirements.txt"

service=clients
secret=a-secret-of-tests-which-is-no-secret
export ADMIN_USER=admin@example.org ADMIN_PASSWORD='Secure*1234'
export COMPAT_APIS=cookie-session,mflix,phone SERVICE_CREDENTIALS="$service:$secret"
export RATE_LIMITS=off LOG_FORMAT=json
serve_ephemeral "$program"
url=$(member url <ready.json)

export PYTHONDONTWRITEBYTECODE=1
run() {
  echo "$2" >&2
  program=$1 script=$clients/$2
  shift 2
  "$program" "$script" "$@"
}
run venv/bin/python cookie_session.py "$url/compat/cookie-session"
run node mflix.mjs "$url/compat/mflix" "$ADMIN_USER" "$ADMIN_PASSWORD"
run venv/bin/python phone.py "$url/compat/phone"
run venv/bin/python oauth.py "$url" "$ADMIN_USER" "$ADMIN_PASSWORD" "$service" "$secret"
if grep -E '"status":500|"level":"ERROR"' server.log; then
  exit 1
fi
echo "All clients got what they expect." >&2
