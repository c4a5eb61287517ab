"""One flipped bit in any file of a vault: found within a week of nights, or of no consequence.

Each kind of file that a vault holds stands in `FOUND` or in `PASSED_OVER`, there with the reason;
a file of neither fails.  A flip that leaves every value as it was (the case of a hex digit in an
escape) is no damage, and may pass.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tablevault.model import TableName
from tablevault.ops.runs import header
from tablevault.ops.verify import verify, verify_vault
from tablevault.ops.verify_terms import Extent, VaultVerifyResult
from tablevault.vault import proofs
from tablevault.vault.catalog import begin_snapshot
from tablevault.vault.chunklist import read_chunks
from tablevault.vault.journal import Journal, read_journal
from tablevault.vault.kept_rows import RowsWriter, kept_path, open_kept
from tablevault.vault.manifest import load_manifest
from tablevault.vault.memory import Memory
from tablevault.vault.store import LocalStore, open_store
from tests.unit.test_jobs import hook, run, write
from tests.unit.test_retention import drilled
from tests.unit.test_verify_nights import CHUNKS, IDS, WEEK, flip, with_tablespace
from tests.unit.vaults import definition, rows_of, write_chunk, write_snapshot

RUN = "20261124T000000Z-aaaaaa"
UNFINISHED = "20261125T000000Z-nightly"
FOUND = {
    "manifest": r"\d{8}T\S+?/manifest\.json",
    "chunk list": r"\d{8}T\S+?/shop/orders/chunks\.jsonl",
    "chunk": r"\d{8}T\S+?/shop/orders/part-\d+\.parquet",
    "tablespace": r"\d{8}T\S+?/shop/orders/tablespace\.(zst|json|cfg)",
    "journal": r"\.runs/\S+?/journal\.jsonl",
}
PASSED_OVER = {
    "proofs": (r"\.proofs/.*\.json", "a memory with a checksum: ignored when it is damaged"),
    "kept rows": (r"\.runs/diffs/.*\.rows", "a memory with a checksum: compared again"),
    "status": (r"\.runs/[^/]+/status\.json", "what `watch` shows of a run"),
    "history": (r"\.runs/[^/]+/history\.jsonl", "what `report` draws of a run"),
    "job": (r"\.runs/\.jobs/.*\.json", "what a job said last: at worst it is said again"),
    "lock": (r"\.locks/.*", "who holds it, in words; the lock is the file system's"),
    "remains": (rf"{UNFINISHED}/.*", "of a snapshot that does not exist: removed by the next"),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """Three snapshots of three chunks, one with a tablespace, and whatever a vault may hold."""
    found = open_store(str(tmp_path_factory.mktemp("bits") / "vault"), create=True)
    state = found.root / ".runs"
    for one in IDS:
        written = write_snapshot(found, one, rows=90)
    snapshot = with_tablespace(found, written)
    verify(found, IDS[0], state_dir=state)
    proofs.keep_drill(found, drilled(snapshot, "shop.orders"))
    with Journal.create(state / RUN, RUN, header(IDS[0], {}, [])) as journal:
        journal.append("creating", table=0)
        journal.append("cleaned")
    rows = RowsWriter(kept_path(state, IDS[0], TableName("shop", "orders")))
    rows.write(b"C\t1\t\\N\n")
    rows.commit({"run": RUN})
    begun = begin_snapshot(found, UNFINISHED)
    write_chunk(found, definition(), rows_of(range(1, 9)), snapshot=UNFINISHED)
    begun._release()  # as if its process had been killed
    job = write(found.root.parent / "c.toml", found.root, 'steps = ["verify latest"]')
    assert run(job, "job", "nightly", "-q").returncode == 0
    (found.root / ".locks" / "job").write_text("job nightly, process 1 on db, since 2026-11-24")
    return found


def files_by_kind(store: LocalStore) -> dict[str, list[Path]]:
    """All files of the vault; one of no known kind fails."""
    patterns = FOUND | {kind: pattern for kind, (pattern, _) in PASSED_OVER.items()}
    found: dict[str, list[Path]] = {kind: [] for kind in patterns}
    for path in sorted(store.root.rglob("*")):
        if path.is_file():
            name = path.relative_to(store.root).as_posix()
            # remains first: they have files of the kinds that count in complete snapshots
            kinds = [kind for kind in reversed(patterns) if re.fullmatch(patterns[kind], name)]
            assert kinds, f"{name} is of no known kind: is a bit that flips in it found?"
            found[kinds[0]].append(path)
    return found


def the_same(store: LocalStore, path: Path, kind: str) -> Callable[[], object]:
    """What a reader has of a file: for comparing it with itself."""
    folder = path.relative_to(store.root).parts[0]
    if kind == "manifest":
        return lambda: load_manifest(store, folder)
    if kind == "journal":
        return lambda: read_journal(path.parent)
    if kind == "chunk list":
        entry = load_manifest(store, folder).tables[0]
        return lambda: list(read_chunks(store, folder, entry))
    return path.read_bytes


def night(store: LocalStore, extent: Extent) -> VaultVerifyResult:
    return verify_vault(store, extent, state_dir=store.root / ".runs")


def a_week_by_subsets(store: LocalStore) -> list[VaultVerifyResult]:
    return [night(store, Extent(subset=(number, 7), budget_s=1200)) for number in WEEK]


def a_week_by_budget(store: LocalStore) -> list[VaultVerifyResult]:
    """Nights of two chunks or so, the longest unproven first, until all were looked at."""
    kinds = files_by_kind(store)
    sizes = [path.stat().st_size for path in kinds["chunk"]]
    sizes.append(sum(path.stat().st_size for path in kinds["tablespace"]))
    shutil.rmtree(store.root / ".proofs")
    extent = Extent(threads=1, budget_s=0.03, rate_bytes_s=2 * max(sizes) / 0.03)
    nights = []
    looked_at = 0
    while looked_at < CHUNKS + 1 and not any(one.findings for one in nights):
        nights.append(night(store, extent))
        looked_at += sum(
            one.chunks_checked + one.tablespaces_checked for one in nights[-1].snapshots
        )
    return nights


@pytest.mark.parametrize("week", [a_week_by_subsets, a_week_by_budget])
@pytest.mark.parametrize("kind", FOUND)
def test_a_flipped_bit_is_found_within_a_week(
    store: LocalStore, kind: str, week: Callable[[LocalStore], list[VaultVerifyResult]]
) -> None:
    rng = random.Random(7)
    files = files_by_kind(store)[kind]
    assert files
    assert not any(one.findings for one in a_week_by_subsets(store))
    spelt = 0
    for path in files * {"manifest": 3, "journal": 4}.get(kind, 1):
        read = the_same(store, path, kind)
        before = read()
        content = flip(path, rng)
        try:
            nights = week(store)
            found = [one for one in nights if one.findings]
            if not found:
                assert read() == before, f"{path}: damaged, and not found"
                spelt += 1
            for one in found:
                [finding] = one.findings
                assert finding.kind in ("damaged", "unusable"), path
                owner = path.relative_to(store.root).parts[1 if kind == "journal" else 0]
                blamed = [each.snapshot for each in one.snapshots if each.findings]
                assert owner in blamed or owner in (finding.path or "")
            # what is neither of these is looked at every night
            assert kind in ("chunk", "tablespace") or len(found) in (0, len(nights))
        finally:
            path.write_bytes(content)
    assert spelt == 0, "nothing that these files hold can be written in two ways"
    assert not any(one.findings for one in a_week_by_subsets(store))


@pytest.mark.parametrize("kind", PASSED_OVER)
def test_a_flipped_bit_elsewhere_costs_nothing(store: LocalStore, kind: str) -> None:
    """No finding, no failure; a memory tells what it told before, or nothing."""
    rng = random.Random(7)
    a_week_by_subsets(store)
    files = files_by_kind(store)[kind][:3]  # each night leaves a status of its own
    assert files
    for path in files * 6:
        before = told(store)
        content = flip(path, rng)
        try:
            after = told(store)
            assert all(one in (0, known) for one, known in zip(after[0], before[0], strict=True))
            assert set(after[1]) <= set(before[1])
            assert after[2] in (before[2], None)
            assert night(store, Extent(subset=(1, 7))).findings == ()
        finally:
            if path.exists():
                path.write_bytes(content)


def told(store: LocalStore) -> tuple[list[int], list[str], object]:
    """What the memories say: when each chunk was proven, the drills, the rows of a diff."""
    times: list[int] = []
    for one in IDS:
        snapshot = load_manifest(store, one)
        times += Memory(store, snapshot, time.time()).all_of(snapshot.tables[0])
    drills = [repr(proof) for proof in proofs.drills(store)]
    try:
        kept = open_kept(kept_path(store.root / ".runs", IDS[0], TableName("shop", "orders")))
    except ValueError:
        return times, drills, None
    assert kept is not None
    with_facts = (list(kept.lines()), dict(kept.facts))
    kept.close()
    return times, drills, with_facts


def test_a_damaged_memory_hides_no_damage(store: LocalStore) -> None:
    """All was proven a moment ago, says a memory in which a bit has flipped: it is not asked."""
    verify_vault(store)
    chunk = files_by_kind(store)["chunk"][1]
    content = flip(chunk, random.Random(1))
    for path in files_by_kind(store)["proofs"]:
        flip(path, random.Random(2))
    try:
        assert any(one.findings for one in a_week_by_budget(store))
    finally:
        chunk.write_bytes(content)


@pytest.mark.parametrize("kind", FOUND)
def test_the_job_exits_3_writes_the_metric_and_calls_the_hook_once(
    store: LocalStore, tmp_path: Path, kind: str
) -> None:
    failure, failed = hook(tmp_path, "failure")
    recovery, recovered = hook(tmp_path, "recovery")
    metrics = tmp_path / "tablevault.prom"
    path = files_by_kind(store)[kind][0]
    content = flip(path, random.Random(11))
    [found, *_] = [number for number in WEEK if night(store, Extent(subset=(number, 7))).findings]
    codes = []
    try:
        for number in (found, found, found):
            config = write(
                tmp_path / "c.toml",
                store.root,
                f'steps = ["verify --all --budget 20m --subset {number}/7", "prune --keep-last 9"]'
                f'\nmetrics = "{metrics}"\non_failure = {failure}\non_recovery = {recovery}',
            )
            done = run(config, "job", "nightly", "-q")
            codes.append(done.returncode)
            samples = {
                sample.name: sample.value
                for family in text_string_to_metric_families(metrics.read_text())
                for sample in family.samples
            }
            assert samples["tablevault_job_exit_code"] == codes[-1], done.stderr
            assert samples["tablevault_job_findings"] == (codes[-1] == 3)
            if len(codes) == 2:
                path.write_bytes(content)  # somebody has mended it
    finally:
        path.write_bytes(content)
    assert codes == [3, 3, 0]
    assert failed.read_text() == "nightly failed 3 verify\n"
    assert recovered.read_text() == "nightly recovered 0 \n"
    report = json.loads(Path(f"{failed}.json").read_text())
    assert report["steps"][0]["result"]["status"] == "findings"
    assert report["not_run"] == ["prune"]
