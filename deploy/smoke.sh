#!/usr/bin/env bash
# Tries what `docker compose up` has started, through nginx, as a new user would: registers, takes
# the link from the mail, follows it, logs in. Needs curl and jq.
set -euo pipefail

base=${1:-http://localhost:${HTTP_PORT:-80}}
mailpit=http://localhost:8025
email="smoke-$(date +%s)-$RANDOM@example.com"
password="correct horse $RANDOM battery"

fail() {
  echo "smoke test: $*" >&2
  exit 1
}

request() {
  curl --silent --show-error --fail-with-body --max-time 20 "$@"
}

# The newest message to the new user, or nothing yet.
message() {
  request --get "$mailpit/api/v1/search" --data-urlencode "query=to:$email" |
    jq --raw-output '.messages[0].ID // empty'
}

request --output /dev/null "$base/health/ready" || fail "not ready"
echo "ready"

body=$(jq --null-input --arg email "$email" --arg password "$password" '{$email, $password}')
id=$(request "$base/register/" --json "$body" | jq --exit-status --raw-output .id) ||
  fail "no registration"
echo "registered as $id"

for _ in $(seq 30); do
  mail=$(message)
  [ -n "$mail" ] && break
  sleep 1
done
[ -n "$mail" ] || fail "no mail within 30 s"
path=$(request "$mailpit/api/v1/message/$mail" | jq --raw-output '.HTML + .Text' |
  grep --only-matching --max-count=1 "/verify-email/$id/[A-Za-z0-9_-]*" | head -n 1) ||
  fail "no link in the mail"
request --output /dev/null "$base$path" || fail "no verification"
echo "verified by the link in the mail"

token=$(request "$base/login/" --data-urlencode "username=$email" --data-urlencode "password=$password" |
  jq --exit-status --raw-output .access_token) || fail "no login"
echo "logged in"

users() {
  curl --silent --output /dev/null --write-out '%{http_code}' --max-time 20 "$@" "$base/users/"
}
status=$(users) && [ "$status" = 401 ] || fail "the list of users without a token: $status"
# The first account is the administrator's.
status=$(users --header "Authorization: Bearer $token")
case $status in
  200) echo "listed the users" ;;
  403) echo "may not list the users: not the first account here" ;;
  *) fail "the list of users: $status" ;;
esac
request --output /dev/null "$base/docs/" || fail "no /docs"
request --output /dev/null http://localhost:5050/misc/ping || fail "no pgAdmin"
echo "all is well"
