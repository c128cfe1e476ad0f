# Installing Debian packages; read by the other scripts.
# shellcheck shell=sh

# Runs a command as root: by itself, or by a sudo that asks for no password.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    sudo -n "$@"
  fi
}

can_install() {
  command -v apt-get >/dev/null && as_root true 2>/dev/null
}

apt_install() {
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install --quiet --quiet --yes --no-install-recommends "$@" >/dev/null
}

install_packages() {
  echo "Installing $* with apt-get ..." >&2
  # A fresh machine or container has no package lists yet, an old one lists versions that are gone.
  if ! apt_install "$@" 2>/dev/null; then
    as_root apt-get update --quiet --quiet >&2 && apt_install "$@" >&2
  fi
}
