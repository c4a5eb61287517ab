"""Connection options: sources and their order, option files, nothing secret shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tablevault.errors import UsageError
from tablevault.mysql import options
from tablevault.mysql.options import ConnectOptions, read_option_file


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "DEFAULT_FILES", ())
    monkeypatch.setattr(options, "_SOCKETS", ())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my.cnf"


def sources(**given: object) -> ConnectOptions:
    return ConnectOptions.from_sources(**{"environ": {}, **given})  # type: ignore[arg-type]


def test_the_password_is_in_no_repr() -> None:
    assert "s3cret" not in repr(ConnectOptions(user="a", password="s3cret"))
    assert "s3cret" not in repr(ConnectOptions.from_url("mysql://a:s3cret@h"))


def test_a_url() -> None:
    found = ConnectOptions.from_url("mysql://us%40er:p%2Fw@db.example:3307/?ssl-mode=VERIFY_CA")
    assert (found.user, found.password, found.host) == ("us@er", "p/w", "db.example")
    assert (found.port, found.ssl_mode, found.target) == (3307, "verify_ca", "db.example:3307")
    assert ConnectOptions.from_url("mysql://u@[::1]:3307").target == "[::1]:3307"


@pytest.mark.parametrize(
    "url", ["http://h", "db.example", "mysql://h:port", "mysql://h:99999", "mysql://h/?x=1"]
)
def test_bad_urls_are_named_without_their_text(url: str) -> None:
    with pytest.raises(UsageError) as failure:
        ConnectOptions.from_url(url.replace("://", "://u:s3cret@"))
    assert "s3cret" not in str(failure.value)


@pytest.mark.parametrize("name", ["compress", "compression-algorithms"])
def test_compression_is_refused_by_name(name: str) -> None:
    with pytest.raises(UsageError, match="compressed protocol"):
        ConnectOptions.from_url(f"mysql://h/?{name}=zlib")


def test_the_nearest_source_wins(file: Path) -> None:
    file.write_text("[client]\nuser=f\npassword=f\nhost=f\nport=1\n")
    url = "mysql://u:u@u"
    environ = {"MYSQL_PWD": "e"}

    def found(**given: object) -> ConnectOptions:
        return sources(defaults_file=str(file), **given)

    assert (found().user, found().password, found().port) == ("f", "f", 1)
    assert found(environ=environ).password == "e"
    assert found(environ=environ, url=url).password == "u"
    assert found(environ=environ, url=url, password="x", user=None).password == "x"
    assert found(url=url, host="x").host == "x"
    assert found(url=url).port == 1
    assert sources().port == 3306


def test_groups_quotes_and_comments(file: Path) -> None:
    file.write_text(
        "# a comment\n; another\n\n[mysqld]\nport=1\nsocket=/server\n"
        "[client]\nuser = spaced out   # said so\npassword='a # b; \\' \"c'\n"
        "host=h\nssl_mode=REQUIRED\nunknown=1\n"
        '[tablevault]\nport=7\nssl-ca="C:\\\\ca"\n[mysqldump]\nhost=other\n'
    )
    assert read_option_file(str(file)) == {
        "user": "spaced out",
        "password": "a # b; ' \"c",
        "host": "h",
        "ssl_mode": "REQUIRED",
        "port": 7,
        "ssl_ca": "C:\\ca",
    }
    assert sources(defaults_file=str(file)).ssl_mode == "required"


def test_includes(file: Path, tmp_path: Path) -> None:
    (tmp_path / "more.cnf").write_text("[client]\nuser=more\n")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "b.cnf").write_text("[client]\nport=2\n")
    (tmp_path / "d" / "a.cnf").write_text("[client]\nport=1\n")
    (tmp_path / "d" / "no.txt").write_text("[client]\nport=3\n")
    file.write_text(f"!include {tmp_path}/more.cnf\n!includedir {tmp_path}/d\n")
    assert read_option_file(str(file)) == {"user": "more", "port": 2}


def test_an_endless_include_ends(file: Path) -> None:
    file.write_text(f"!include {file}\n")
    with pytest.raises(UsageError, match="too deep"):
        read_option_file(str(file))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[client]\nuser=a\n[client\n", "line 3: .*closing bracket"),
        ("password=s3cret\n", "line 1: .*before the first"),
        ("[client]\n\nport=s3cret0\n", "line 3: port"),
        ("[client]\nuser\n", "line 2: 'user' has no value"),
        ("[client]\npassword='s3cret\n", "line 2: .*quote"),
        ("[client]\nssl-mode=s3cret\n", "line 2: unknown ssl mode"),
        ("[client]\n!includefile x\n", "line 2: unknown directive"),
    ],
)
def test_mistakes_name_file_and_line(file: Path, content: str, told: str) -> None:
    file.write_text(content)
    with pytest.raises(UsageError, match=told) as failure:
        read_option_file(str(file))
    assert str(file) in str(failure.value)
    assert "s3cret\n" not in str(failure.value)


def test_a_missing_file_is_an_error_when_it_was_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        sources(defaults_file=str(tmp_path / "absent.cnf"))


def test_a_password_to_be_asked_for_is_none_here(file: Path) -> None:
    file.write_text("[client]\npassword\n")
    assert read_option_file(str(file)) == {}


@pytest.mark.parametrize(
    ("line", "mode"),
    [
        ("ssl", "required"),
        ("ssl=0", "disabled"),
        ("skip-ssl", "disabled"),
        ("ssl-verify-server-cert", "verify_identity"),
    ],
)
def test_mariadb_spells_it_otherwise(file: Path, line: str, mode: str) -> None:
    file.write_text(f"[client-mariadb]\n{line}\n")
    assert sources(defaults_file=str(file)).ssl_mode == mode


def test_localhost_means_the_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "s.sock"
    there.touch()
    monkeypatch.setattr(options, "_SOCKETS", (str(there),))
    assert sources().socket == str(there)
    assert sources(host="localhost").target == str(there)
    assert sources(host="localhost", port=3307).socket is None
    assert sources(host="127.0.0.1").socket is None
    assert sources(ssl_mode="required").socket is None


def test_a_nearer_host_beats_a_farther_socket(file: Path) -> None:
    file.write_text("[client]\nsocket=/there\n")
    assert sources(defaults_file=str(file)).socket == "/there"
    assert sources(defaults_file=str(file), host="h").socket is None
    assert sources(defaults_file=str(file), host="h", socket="/s").socket == "/s"


@pytest.mark.parametrize(
    "wrong", [{"port": 0}, {"port": 70000}, {"ssl_mode": "maybe"}, {"connect_timeout_s": 0}]
)
def test_values_out_of_range(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        ConnectOptions(**wrong)  # type: ignore[arg-type]
