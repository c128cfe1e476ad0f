#!/bin/sh
# Makes sure that Chromium and its WebDriver are on this machine; says nothing when they are.
# One test drives Swagger UI with them.
set -eu
. "$(dirname "$0")/debian.sh"

found() {
  command -v chromedriver >/dev/null || return 1
  for browser in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$browser" >/dev/null && return 0
  done
  [ -d '/Applications/Google Chrome.app' ] || [ -d '/Applications/Chromium.app' ]
}

if found; then
  exit 0
fi
if can_install && install_packages chromium chromium-driver && found; then
  exit 0
fi
cat >&2 <<'TEXT'
Chromium and chromedriver are needed, and cannot be installed from here. Install them:
  Debian:  sudo apt-get install chromium chromium-driver
  Ubuntu:  sudo snap install chromium   (it brings chromedriver)
  Fedora:  sudo dnf install chromium chromedriver
  Arch:    sudo pacman -S chromium
  Alpine:  apk add chromium chromium-chromedriver
  macOS:   brew install --cask google-chrome chromedriver
TEXT
exit 1
