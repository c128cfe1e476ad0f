# A throw-away server, and Python packages to try it from outside with; read by the other scripts.
# shellcheck shell=sh

# Makes ./venv with the packages of a file, which pins them, so that new versions come knowingly.
make_venv() {
  if cmp -s "$1" venv/installed; then
    return
  fi
  rm -rf venv
  python3 -m venv venv 2>/dev/null || { install_packages python3-venv && python3 -m venv venv; }
  venv/bin/pip install --quiet --disable-pip-version-check --requirement "$1"
  cp "$1" venv/installed
}

# Reads a member of a JSON object.
member() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# Starts the program $1, whose settings are exported, and stops it when the script ends. Then
# ./ready.json tells where it serves, and ./server.log has its log.
serve_ephemeral() {
  rm -f ready.json
  "$1" serve --ephemeral >ready.json 2>server.log &
  server=$!
  trap 'kill "$server" && wait "$server"' EXIT
  until [ -s ready.json ]; do
    kill -0 "$server" || { cat server.log >&2; exit 1; }
    sleep 0.1
  done
}
