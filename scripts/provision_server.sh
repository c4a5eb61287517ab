#!/bin/bash
# Other servers to test on, from Debian's own archive, unpacked into a folder of their own:
#
#   scripts/provision_server.sh mysql         MySQL from suite sid (in no other suite)
#   scripts/provision_server.sh mariadb-new   a newer MariaDB, from suite trixie
#   scripts/provision_server.sh mariadb-plugins   plugins of the MariaDB that this machine has
#
# Prints the folder, whose usr/sbin then holds a server that runs as it is (of plugins: that with
# the .so files, which Debian has in another package than the server). Nothing is installed:
# packages are downloaded by apt with a state of its own and only unpacked, none of their scripts
# run, no root rights are needed. What is there already is used; remove the folder to get a newer one.
# Environment: TABLEVAULT_SERVERS, the folder of folders (~/.cache/tablevault-servers).
set -euo pipefail
die() { printf '%s\n' "provision: $*" >&2; exit 1; }
say() { printf '%s\n' "provision: $*" >&2; }

KIND=${1:-}
case $KIND in
  mysql)       suite=sid;    packages=(mysql-server-core);   server=mysqld ;;
  mariadb-new) suite=trixie; packages=(mariadb-server-core mariadb-client-core); server=mariadbd ;;
  mariadb-plugins) suite=own; packages=(); server= ;;
  *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
esac
HOME_OF_ALL=${TABLEVAULT_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/tablevault-servers}
TREE=$HOME_OF_ALL/$suite-$KIND

works() { "$TREE/usr/sbin/$server" --no-defaults --version >/dev/null 2>&1; }

archive() {  # the Debian archive that this machine's apt already uses
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    grep -v security | sed 's,/*$,,' | sort -u | head -n 1
}

download() {  # into $work/archives, with everything the packages depend on
  local keys=/usr/share/keyrings/debian-archive-keyring.gpg from
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    die "no apt-get and dpkg-deb here: $KIND can only be had on Debian"
  [ -e "$keys" ] || die "no $keys here: $KIND can only be had on Debian"
  from=$(archive); [ -n "$from" ] || die "apt knows no Debian archive (see /etc/apt/sources.list)"
  mkdir -p "$work"/{lists,archives,etc}/partial
  : >"$work/status"
  echo "deb [signed-by=$keys] $from $suite main" >"$work/sources.list"
  local apt=(apt-get -qq -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status"
    -o Dir::State="$work" -o Dir::Cache="$work" -o Dir::Cache::archives="$work/archives"
    -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
    -o APT::Default-Release= -o APT::Sandbox::User= -o APT::Install-Recommends=false
    -o Acquire::Languages=none -o APT::Get::AllowUnauthenticated=false)
  say "downloading $KIND from Debian's suite $suite into $TREE (100 MB or less)"
  "${apt[@]}" update </dev/null >"$work/log" 2>&1 &&
    "${apt[@]}" install -y --download-only "${packages[@]}" </dev/null >>"$work/log" 2>&1 ||
    { tail -n 15 "$work/log" >&2; die "apt could not download ${packages[*]} of suite $suite"; }
}

unpack() {  # into $work/tree
  local deb
  mkdir -p "$work/tree"
  # Older ones keep their libraries in /lib, newer ones in /usr/lib: one place for both.
  for folder in bin sbin lib lib64; do
    mkdir -p "$work/tree/usr/$folder"; ln -s "usr/$folder" "$work/tree/$folder"
  done
  for deb in "$work"/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$work/tree" \
      --no-same-owner --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' \
      --exclude='./usr/share/locale/*' --exclude='./dev/*' || die "cannot unpack $deb"
  done
}

wrap() {  # PROGRAM [OPTION...]: run it by its own loader with its own libraries
  local program=$work/tree/$1 loader libraries; shift
  [ -x "$program" ] || return 0
  loader=$(cd "$work/tree" && find usr/lib usr/lib64 -name 'ld-linux*.so.*' | head -n 1)
  libraries=$(cd "$work/tree" && dirname "$(find usr/lib -name 'libc.so.6' | head -n 1)")
  mv "$program" "$program.real"
  { echo '#!/bin/sh'
    echo '# The first argument stays first: --no-defaults counts only there.'
    echo 'first=$1; [ $# -eq 0 ] || shift'
    printf 'exec %q --library-path %q %q "$first"' \
      "$TREE/$loader" "$TREE/$libraries" "${program/#$work\/tree/$TREE}.real"
    [ $# -eq 0 ] || printf ' %q' "$@"
    echo ' "$@"'; } >"$program"
  chmod 755 "$program"
}

if [ "$KIND" = mariadb-plugins ]; then
  plugins=$TREE/usr/lib/mysql/plugin
  if [ ! -e "$plugins/file_key_management.so" ]; then
    mkdir -p "$HOME_OF_ALL"
    work=$(mktemp -d "$HOME_OF_ALL/.making.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    say "downloading the plugins of MariaDB into $TREE (4 MB)"
    (cd "$work" && apt-get -qq -o APT::Sandbox::User= download mariadb-server </dev/null >&2) ||
      die "apt could not download mariadb-server"
    mkdir "$work/tree"
    dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -C "$work/tree" --no-same-owner ./usr/lib/mysql/plugin
    rm -rf "$TREE"
    mv "$work/tree" "$TREE"
  fi
  echo "$plugins"
  exit
fi

if ! works; then
  mkdir -p "$HOME_OF_ALL"
  work=$(mktemp -d "$HOME_OF_ALL/.making.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  download
  unpack
  share=$TREE/usr/share/${server%d}; [ "$server" = mysqld ] && share=$TREE/usr/share/mysql
  wrap usr/bin/my_print_defaults
  wrap usr/bin/resolveip
  plugins=$(cd "$work/tree" && find usr/lib -type d -path '*/plugin' | head -n 1)
  wrap "usr/sbin/$server" "--basedir=$TREE/usr" "--lc-messages-dir=$share" \
    "--character-sets-dir=$share/charsets" ${plugins:+"--plugin-dir=$TREE/$plugins"}
  rm -rf "$TREE"
  mv "$work/tree" "$TREE"
  works || die "$KIND was unpacked but does not run: $("$TREE/usr/sbin/$server" --no-defaults --version 2>&1 | tail -n 1)"
  say "$("$TREE/usr/sbin/$server" --no-defaults --version | sed "s,^[^ ]*/,,; s/[.]real//")"
fi
echo "$TREE"
