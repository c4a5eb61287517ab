"""SHOW GRANTS read as privileges."""

from __future__ import annotations

from tablevault.mysql.server import Privileges, parse_grants


def test_levels() -> None:
    held = parse_grants(
        [
            "GRANT RELOAD, PROCESS ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*X'",
            "GRANT SELECT, INSERT ON `shop`.* TO `a`@`%` WITH GRANT OPTION",
            "GRANT SELECT (`id`, `n`), UPDATE ON `crm`.`odd``name` TO `a`@`%`",
            "GRANT EXECUTE ON PROCEDURE `crm`.`p` TO `a`@`%`",
            "GRANT `role`@`%` TO `a`@`%`",
        ]
    )
    assert held.has("reload")
    assert not held.has("SELECT")
    assert held.has("SELECT", "shop") and held.has("INSERT", "shop", "any")
    assert held.has("GRANT OPTION", "shop")
    assert held.has("UPDATE", "crm", "odd`name")
    assert not held.has("SELECT", "crm", "odd`name"), "columns are not the table"
    assert not held.has("UPDATE", "crm", "other")
    assert not held.has("EXECUTE", "crm")


def test_all_privileges() -> None:
    held = parse_grants(["GRANT ALL PRIVILEGES ON *.* TO `a`@`%`"])
    assert held.has("SUPER") and held.has("DROP", "x", "y")
    assert not held.has("GRANT OPTION")


def test_schema_patterns() -> None:
    held = parse_grants([r"GRANT SELECT ON `sh\_p%`.* TO `a`@`%`"])
    assert held.has("SELECT", "sh_p") and held.has("SELECT", "sh_product")
    assert not held.has("SELECT", "shop")


def test_partial_revokes() -> None:
    held = parse_grants(
        ["GRANT SELECT, DROP ON *.* TO `a`@`%`", "REVOKE DROP ON `shop`.* FROM `a`@`%`"]
    )
    assert held.has("DROP") and held.has("DROP", "crm")
    assert not held.has("DROP", "shop")
    assert held.has("SELECT", "shop")


def test_nothing() -> None:
    assert not Privileges().has("SELECT", "a", "b")
