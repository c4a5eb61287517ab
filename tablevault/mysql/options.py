"""How to reach a server: named and merged as the mysql client does it.

Order, first wins: what was given explicitly, `--url`, `MYSQL_PWD`, option files, defaults.  Option
files are parsed here, because the driver's own parser reads other groups than the client and
answers a mistake without naming its line.  The password is in no repr.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from tablevault.errors import UsageError

SSL_MODES = ("disabled", "preferred", "required", "verify_ca", "verify_identity")
GROUPS = frozenset({"client", "client-server", "client-mariadb", "mysql", "tablevault"})
DEFAULT_PORT = 3306
DEFAULT_FILES = ("/etc/my.cnf", "/etc/mysql/my.cnf", "~/.my.cnf")
_SOCKETS = ("/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock")
_MAX_INCLUDE_DEPTH = 10
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "s": " ", "\\": "\\", '"': '"', "'": "'"}


@dataclass(frozen=True)
class ConnectOptions:
    """Everything needed to open a connection; `password` never shows."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    user: str = ""
    password: str | None = field(default=None, repr=False)
    socket: str | None = None  # a path: then host and port do not matter
    ssl_ca: str | None = None
    ssl_mode: str = "preferred"
    defaults_file: str | None = None  # where some of it came from, for messages
    connect_timeout_s: int = 10

    def __post_init__(self) -> None:
        if self.ssl_mode not in SSL_MODES:
            raise UsageError(
                f"unknown ssl mode '{self.ssl_mode}'", hint=f"one of {', '.join(SSL_MODES)}"
            )
        if not 0 < self.port < 65536:
            raise UsageError(f"port {self.port} is not between 1 and 65535")
        if self.connect_timeout_s < 1:
            raise UsageError("the connect timeout must be at least one second")

    @property
    def target(self) -> str:
        """The server, for messages: `host:port`, or the path of the socket."""
        if self.socket:
            return self.socket
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def tls_required(self) -> bool:
        """Whether a connection without TLS must be refused."""
        return self.ssl_mode in ("required", "verify_ca", "verify_identity")

    @classmethod
    def from_url(cls, url: str) -> ConnectOptions:
        """The options that `mysql://user:password@host:port` gives, over the defaults."""
        return _build(_url_values(url))

    @classmethod
    def from_sources(
        cls,
        *,
        url: str | None = None,
        environ: Mapping[str, str] | None = None,
        defaults_file: str | None = None,
        **explicit: str | int | None,
    ) -> ConnectOptions:
        """Merge explicit values, URL, environment, option files and defaults, in this order.

        `explicit` takes the field names; None means not given.  Without `defaults_file` the files
        that the mysql client reads are read, where they exist.  Raises UsageError, naming file
        and line.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, str | int] = {}
        for name in _default_files(defaults_file):
            values.update(read_option_file(name))
        if "MYSQL_PWD" in environ:
            values["password"] = environ["MYSQL_PWD"]
        given = {name: value for name, value in explicit.items() if value is not None}
        for nearer in (_url_values(url) if url else {}, given):
            if "host" in nearer and "socket" not in nearer:
                values.pop("socket", None)  # a host named nearer than a socket means the host
            values.update(nearer)
        return replace(_build(_locate(values, environ)), defaults_file=defaults_file)


def _build(values: Mapping[str, str | int]) -> ConnectOptions:
    known: dict[str, object] = dict(values)
    for name in ("port", "connect_timeout_s"):
        if name in known:
            known[name] = _number(name, str(known[name]))
    if "ssl_mode" in known:
        known["ssl_mode"] = str(known["ssl_mode"]).lower().replace("-", "_")
    known.setdefault("user", _login_name())
    return ConnectOptions(**known)  # type: ignore[arg-type]


def _locate(values: dict[str, str | int], environ: Mapping[str, str]) -> dict[str, str | int]:
    """`localhost`, or no host at all, and no port means the local socket, where there is one."""
    local = values.get("host", "localhost") == "localhost"
    if local and "socket" not in values and "port" not in values:
        candidates = (environ.get("MYSQL_UNIX_PORT", ""), *_SOCKETS)
        found = next((path for path in candidates if path and os.path.exists(path)), None)
        if found is not None and values.get("ssl_mode", "preferred") in ("preferred", "disabled"):
            values["socket"] = found
    return values


def _url_values(url: str) -> dict[str, str | int]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError("the --url is malformed", hint=_URL_HINT) from None
    if parts.scheme not in ("mysql", "mariadb"):
        raise UsageError(f"the --url has the scheme '{parts.scheme}'", hint=_URL_HINT)
    values: dict[str, str | int] = {}
    if parts.hostname:
        values["host"] = unquote(parts.hostname)
    if port is not None:
        values["port"] = port
    if parts.username:
        values["user"] = unquote(parts.username)
    if parts.password is not None:
        values["password"] = unquote(parts.password)
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        key = _FIELDS.get(name.replace("_", "-").lower())
        if key is None or key in ("host", "port", "user", "password"):
            refuse_compress(name)
            raise UsageError(f"the --url has the unknown option '{name}'", hint=_URL_HINT)
        values[key] = value
    return values


_URL_HINT = "mysql://user@host:port, with ?ssl-mode=...&ssl-ca=...&socket=... where needed"
_FIELDS = {
    "host": "host",
    "port": "port",
    "user": "user",
    "password": "password",
    "socket": "socket",
    "ssl-ca": "ssl_ca",
    "ssl-mode": "ssl_mode",
    "connect-timeout": "connect_timeout_s",
}


def refuse_compress(name: str) -> None:
    """Raises UsageError when `name` asks for the compressed protocol."""
    if name.replace("_", "-").lower() in ("compress", "compression-algorithms"):
        raise UsageError(
            "the compressed protocol is not supported: large results cannot be read over it",
            hint=f"leave '{name}' out",
        )


def read_option_file(path: str, _depth: int = 0) -> dict[str, str | int]:
    """The connection options that an option file gives to our groups; later lines win.

    Options that mean nothing here are passed over, as each client does with the others'.  Raises
    UsageError with file and line, never with the line's text: it may be a password.
    """
    if _depth > _MAX_INCLUDE_DEPTH:
        raise UsageError(f"option file {path}: !include goes too deep")
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise UsageError(f"option file {path} cannot be read: {error.strerror}") from None
    values: dict[str, str | int] = {}
    group: str | None = None
    for number, raw in enumerate(lines, 1):
        line, where = raw.strip(), f"option file {path}, line {number}"
        if not line or line[0] in "#;":
            continue
        if line.startswith("!include"):
            for name in _included(line, path, where):
                values.update(read_option_file(name, _depth + 1))
        elif line.startswith("["):
            end = line.find("]")
            if end < 0:
                raise UsageError(f"{where}: the group's name has no closing bracket")
            group = line[1:end].strip().lower()
        elif group is None:
            raise UsageError(f"{where}: an option stands before the first [group]")
        elif group in GROUPS:
            values.update(_option(line, where))
    return values


def _option(line: str, where: str) -> Iterator[tuple[str, str | int]]:
    name, equals, text = line.partition("=")
    name = name.strip().lower().replace("_", "-").removeprefix("loose-")
    if name in ("ssl", "skip-ssl", "ssl-verify-server-cert"):
        yield from _mariadb_ssl(name, text.strip().lower(), bool(equals))
    key = _FIELDS.get(name)
    if key is None:
        return
    if not equals:
        if key != "password":  # a bare `password` asks for it, which the command line does
            raise UsageError(f"{where}: '{name}' has no value")
        return
    value = _unquoted(text.strip(), where)
    if key in ("port", "connect_timeout_s"):
        yield key, _number(f"{where}: {name}", value)
    elif key == "ssl_mode" and value.lower().replace("-", "_") not in SSL_MODES:
        raise UsageError(f"{where}: unknown ssl mode", hint=f"one of {', '.join(SSL_MODES)}")
    else:
        yield key, value


def _mariadb_ssl(name: str, text: str, has_value: bool) -> Iterator[tuple[str, str]]:
    """MariaDB's spelling of the ssl modes."""
    on = not has_value or text in ("1", "on", "true")
    if name == "skip-ssl" or (name == "ssl" and not on):
        yield "ssl_mode", "disabled"
    elif name == "ssl":
        yield "ssl_mode", "required"
    elif on:
        yield "ssl_mode", "verify_identity"


def _unquoted(text: str, where: str) -> str:
    """An option's value: quotes taken off, a comment behind it cut, backslashes resolved."""
    if text[:1] in ("'", '"'):
        end = text.find(text[0], 1)
        while end > 0 and text[end - 1] == "\\" and text[end - 2] != "\\":
            end = text.find(text[0], end + 1)
        if end < 0:
            raise UsageError(f"{where}: the value's quote is not closed")
        text = text[1:end]
    else:
        text = text.split(" #", 1)[0].rstrip()
    resolved, characters = [], iter(text)
    for char in characters:
        if char != "\\":
            resolved.append(char)
            continue
        following = next(characters, "")
        resolved.append(_ESCAPES.get(following, "\\" + following))
    return "".join(resolved)


def _included(line: str, path: str, where: str) -> list[str]:
    word, _, rest = line.partition(" ")
    target = os.path.join(os.path.dirname(path), rest.strip())
    if word == "!include":
        return [target]
    if word != "!includedir":
        raise UsageError(f"{where}: unknown directive")
    if not os.path.isdir(target):
        return []
    return [os.path.join(target, name) for name in sorted(os.listdir(target)) if _is_cnf(name)]


def _is_cnf(name: str) -> bool:
    return name.endswith(".cnf") and not name.startswith(".")


def _default_files(defaults_file: str | None) -> list[str]:
    if defaults_file is not None:
        return [os.path.expanduser(defaults_file)]
    candidates = (os.path.expanduser(name) for name in DEFAULT_FILES)
    return [name for name in candidates if os.access(name, os.R_OK) and os.path.isfile(name)]


def _number(what: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise UsageError(f"{what}: '{value}' is not a number") from None


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
