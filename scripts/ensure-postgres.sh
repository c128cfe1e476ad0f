#!/bin/sh
# Makes sure that PostgreSQL's programs are on this machine; says nothing when they are.
#
# The server runs them itself (src/infra/embedded_postgres), so no database is made or started
# here. The places are the same as in src/infra/embedded_postgres/installation.rs.
set -eu
. "$(dirname "$0")/debian.sh"

oldest=15

# Whether $1 is a directory with the programs of a version that is new enough.
fits() {
  [ -x "$1/postgres" ] && [ -x "$1/initdb" ] || return 1
  major=$("$1/postgres" --version 2>/dev/null | sed -n 's/.*(PostgreSQL) \([0-9]*\).*/\1/p')
  [ -n "$major" ] && [ "$major" -ge "$oldest" ]
}

found() {
  for directory in \
    /usr/lib/postgresql/*/bin \
    /usr/pgsql-*/bin \
    /usr/libexec/postgresql* \
    /opt/homebrew/opt/postgresql*/bin \
    /usr/local/opt/postgresql*/bin \
    /home/linuxbrew/.linuxbrew/opt/postgresql*/bin \
    /Applications/Postgres.app/Contents/Versions/*/bin \
    /opt/local/lib/postgresql*/bin; do
    fits "$directory" && return 0
  done
  # On PATH, a link leads to the directory that has the rest too.
  program=$(command -v postgres) || return 1
  fits "$(dirname "$program")" && return 0
  program=$(readlink -f "$program" 2>/dev/null) && fits "$(dirname "$program")"
}

# Debian's package makes a database cluster and starts it, which nobody asked for.
install_on_debian() {
  settings=/etc/postgresql-common/createcluster.d
  trap 'as_root rm -f "$settings/user-management.conf"' EXIT
  as_root mkdir -p "$settings"
  echo 'create_main_cluster = false' | as_root tee "$settings/user-management.conf" >/dev/null
  install_packages postgresql
}

if found; then
  exit 0
fi
if can_install && install_on_debian && found; then
  exit 0
fi
cat >&2 <<TEXT
PostgreSQL $oldest or newer is needed, and cannot be installed from here. Install its server:
  Debian, Ubuntu: sudo apt-get install postgresql
  Fedora:         sudo dnf install postgresql-server
  Arch:           sudo pacman -S postgresql
  Alpine:         apk add postgresql
  macOS:          brew install postgresql@17
or set DATABASE_URL to a PostgreSQL server that runs already.
TEXT
exit 1
