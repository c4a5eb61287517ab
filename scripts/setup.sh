#!/bin/bash
# Install what tablevault needs to run here, and say what is done.
#
#   scripts/setup.sh venv EXTRA   a virtual environment in $VENV (.venv) with the `tablevault`
#                                 command and the extra's packages (demo | dev); the row codec
#                                 is compiled, and compiled again when its source changed
#   scripts/setup.sh server       MariaDB's server and client programs
#   scripts/setup.sh browser      headless Chromium, in which the pages of `report` are tested
#   scripts/setup.sh rivals       the tools that tablevault is measured beside; without them the
#                                 measurements run, and say which rows are left out
#
# What is already there is used as it is, and nothing is asked. Without root rights and without
# sudo, one line says what to install. Environment: PYTHON (python3), VENV (.venv).
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
# Of DuckDB as a rival, and of its mysql extension: it loads in its own version alone.
DUCKDB=1.5.5
# Debian keeps server programs where an ordinary account does not look.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf '%s\n' "setup: $*"; }
die() { printf '%s\n' "setup: $*" >&2; exit 1; }

# ---------------------------------------------------------------- packages of the system

apt_install() {  # WHY PACKAGE...
  local why=$1; shift
  command -v apt-get >/dev/null || die "$why: install the equivalent of Debian's packages: $*"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "$why: as root, run: apt-get install $*"
    as_root=(sudo)
  fi
  say "$why: installing Debian's packages $* (apt-get install${as_root[*]:+, with sudo})"
  # --no-remove: a server of another make that is installed here is the user's, and stays.
  local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
    apt-get install -y -qq --no-remove --no-install-recommends "$@")
  local log; log=$(mktemp)
  if ! "${install[@]}" </dev/null >"$log" 2>&1; then
    # A machine that has never looked has no package lists, or old ones.
    "${as_root[@]}" apt-get update -qq </dev/null >>"$log" 2>&1 || true
    "${install[@]}" </dev/null >"$log" 2>&1 ||
      { tail -n 15 "$log" >&2; rm -f "$log"; die "$why: apt-get could not install $*"; }
  fi
  rm -f "$log"
}

need_python() {
  command -v "$PYTHON" >/dev/null ||
    if [ "$PYTHON" = python3 ]; then apt_install "no python3 on this machine" python3
    else die "no $PYTHON on this machine: choose another with PYTHON=..."; fi
  "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die \
    "$("$PYTHON" --version 2>&1) is too old: tablevault needs Python 3.11 or newer (choose one with PYTHON=...)"
}

from_debian() {  # whether $PYTHON is the distribution's own, which packages complete
  case $("$PYTHON" -c 'import sys; print(sys.base_prefix)') in /usr) return 0 ;; esac
  return 1
}

need_venv_module() {
  "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null && return
  from_debian || die "$PYTHON has no venv module: choose another Python with PYTHON=..."
  apt_install "$PYTHON has no venv module" "$(debian_name)-venv"
}

need_compiler() {
  command -v cc >/dev/null || apt_install "no C compiler for the row codec" gcc libc6-dev
  "$PYTHON" - <<'PY' && return
import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))
PY
  from_debian || die "$PYTHON has no C headers (Python.h): choose another Python with PYTHON=..."
  apt_install "no Python headers for the row codec" "$(debian_name)-dev"
}

debian_name() { "$PYTHON" -c 'import sys; print("python%d.%d" % sys.version_info[:2])'; }

need_server() {
  local missing=()
  if ! command -v mariadbd >/dev/null || ! command -v mariadb-install-db >/dev/null; then
    missing+=(mariadb-server-core)
  fi
  command -v mariadb >/dev/null || missing+=(mariadb-client-core)
  [ ${#missing[@]} -eq 0 ] && return
  # The -core packages hold the programs alone: no service, no account, no data directory.
  apt_install "no MariaDB server programs" "${missing[@]}"
  command -v mariadbd >/dev/null || die "mariadbd is still not found after installing ${missing[*]}"
}

need_browser() {
  local program
  for program in chromium-headless-shell chromium chromium-browser google-chrome; do
    command -v "$program" >/dev/null && return
  done
  apt_install "no browser to test pages in" chromium-headless-shell
}

need_rivals() {
  local missing=()
  command -v mydumper >/dev/null && command -v myloader >/dev/null || missing+=(mydumper)
  command -v mariadb-dump >/dev/null && command -v mariadb-import >/dev/null ||
    missing+=(mariadb-client)
  local package
  for package in ${missing[@]+"${missing[@]}"}; do
    (apt_install "measuring beside other tools" "$package") ||
      say "without $package its rows are left out"
  done
  need_duckdb
}

need_duckdb() {  # in an environment of its own: our tests want a newer DuckDB
  local home=$VENV/rivals
  [ "$("$home/bin/python" bench/duckdb_copy.py version 2>/dev/null)" = "$DUCKDB" ] && return
  say "measuring beside other tools: installing DuckDB $DUCKDB and its mysql extension into $home"
  local log; log=$(mktemp)
  (need_python && need_venv_module && "$PYTHON" -m venv --clear "$home" &&
    "$home/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
      "duckdb==$DUCKDB" "duckdb-extension-mysql-scanner==$DUCKDB"
  ) </dev/null >"$log" 2>&1 || say "without DuckDB its rows are left out: $(tail -n 1 "$log")"
  rm -f "$log"
}

# ---------------------------------------------------------------- the virtual environment

digest() { cat "$@" 2>/dev/null | sha256sum | cut -d' ' -f1; }

need_environment() {  # EXTRA
  local extra=$1
  # A folder that was moved needs its commands written anew.
  local wanted; wanted="$(digest pyproject.toml setup.py) $PYTHON $PWD"
  # `dev` holds everything that `demo` does.
  if [ -x "$VENV/bin/tablevault" ] && { grep -qxF "$wanted" "$VENV/.extra-$extra" ||
      grep -qxF "$wanted" "$VENV/.extra-dev"; } 2>/dev/null; then
    return
  fi
  need_venv_module
  need_compiler
  if [ "$(python_of "$VENV/bin/python")" != "$(python_of "$PYTHON")" ] ||
      ! "$VENV/bin/python" -c 'import pip' 2>/dev/null; then
    say "creating the virtual environment $VENV with $("$PYTHON" --version 2>&1)"
    "$PYTHON" -m venv --clear "$VENV"
  fi
  say "installing tablevault[$extra] into $VENV (compiles the row codec; a minute the first time)"
  "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    --editable ".[$extra]" </dev/null || die "pip could not install tablevault[$extra]; its reason is above"
  echo "$wanted" >"$VENV/.extra-$extra"
  codec_digest >"$VENV/.codec"
}

python_of() {  # which Python it is; nothing where there is none
  "$1" -c 'import sys; print(sys.version)' 2>/dev/null || true
}

codec_digest() { digest setup.py tablevault/rows/*.pyx tablevault/rows/*.pxi; }

need_codec() {  # rebuilt in place when its source changed since it was built
  local wanted built=(tablevault/rows/rowcodec*.so); wanted=$(codec_digest)
  [ -e "${built[0]}" ] && [ "$(cat "$VENV/.codec" 2>/dev/null)" = "$wanted" ] && return
  need_compiler
  say "compiling the row codec"
  local log; log=$(mktemp)
  if "$VENV/bin/python" -c 'import Cython, setuptools' 2>/dev/null; then
    "$VENV/bin/python" setup.py -q build_ext --inplace --force </dev/null >"$log" 2>&1
  else
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
      --no-deps --editable . </dev/null >"$log" 2>&1
  fi || { tail -n 40 "$log" >&2; rm -f "$log"; die "the row codec did not compile"; }
  rm -f "$log"
  echo "$wanted" >"$VENV/.codec"
}

case "${1:-} ${2:-}" in
  "venv demo" | "venv dev") need_python; need_environment "$2"; need_codec ;;
  "server ") need_server ;;
  "browser ") need_browser ;;
  "rivals ") need_rivals ;;
  *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 2 ;;
esac
