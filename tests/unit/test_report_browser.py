"""The pages of `report` in a real browser: as wide as a phone and a screen, light and dark."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tablevault.cli.report.run_facts import run_facts
from tablevault.cli.report.run_page import run_page
from tablevault.cli.report.vault_facts import vault_facts
from tablevault.cli.report.vault_page import vault_page
from tablevault.model import TableName
from tablevault.vault.store import open_store
from tests.support import reports
from tests.support.browser import find_browser, look_at
from tests.unit.vaults import definition, write_snapshot

NAME = "shop." + "an extremely_long_name_" * 3
# What is measured is added to a copy of the page, without its policy, which lets no script run.
MEASURE = """<script>
const seen = [...document.querySelectorAll("svg")].filter(one => one.getBoundingClientRect().width);
document.documentElement.dataset.measured = [document.documentElement.scrollWidth,
  Math.max(...seen.map(one => one.getBoundingClientRect().right)), seen.length,
  getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]].join(" ");
</script>"""


def pages(vault: Path) -> dict[str, str]:
    store = open_store(str(vault), create=True)
    write_snapshot(store, table=definition(table=TableName("shop", NAME[5:69])))
    records = reports.a_restore_under_trouble(NAME, "r")
    return {
        "run": run_page(run_facts("r", None, [], records, thinned=False)),
        "vault": vault_page(vault_facts(store, time.time()), time.time()),
    }


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1100])
def test_it_fits(width: int, dark: bool, vault: Path, tmp_path: Path) -> None:
    browser = find_browser()
    if browser is None:
        pytest.skip("no headless Chromium here; said at the end as not tested")
    for name, text in pages(vault).items():
        page = tmp_path / f"{name}.html"
        page.write_text(text)
        look_at(browser, page, width, tmp_path / "profile", dark=dark)  # as it is: no complaint
        copy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
        assert copy != text
        page.write_text(copy.replace("</body>", f"{MEASURE}</body>"))
        told = look_at(browser, page, width, tmp_path / "profile", dark=dark)
        found = re.search(r'data-measured="([^"]+)"', told)
        assert found is not None
        wide, right, drawings, shade = map(float, found[1].split())
        assert wide <= width, "the page scrolls to the side"
        assert right <= width
        assert drawings == {"run": 2, "vault": 2}[name], "one drawing of each is shown"
        assert (shade < 128) is dark
