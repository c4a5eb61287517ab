"""What Prometheus is told: in its text format, for the textfile collector, or as OpenMetrics.

Times are Unix seconds; a table that was never proven has no line, so that its absence can be
alerted on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tablevault.cli.job_findings import findings_of

if TYPE_CHECKING:
    from tablevault.cli.job_run import JobEnd
    from tablevault.model import Snapshot
    from tablevault.vault.proofs import DrillProof

Samples = Iterable[tuple[Mapping[str, str], float]]


def metrics_text(
    done: JobEnd,
    snapshots: Sequence[Snapshot],
    drills: Sequence[DrillProof],
    vault: str,
    size_bytes: int,
    *,
    openmetrics: bool = False,
) -> str:
    """The metrics of a job that has ended, and of the vault as it is then.

    `size_bytes` is what the snapshots' files take, those that several share counted once.
    All are gauges, which both formats write alike; OpenMetrics wants its end marked.
    """
    job = {"job": done.job}
    parts = [
        _metric("job_last_run_timestamp_seconds", "When the job began.", [(job, done.began)]),
        _metric("job_duration_seconds", "How long it took.", [(job, done.seconds)]),
        _metric("job_exit_code", "0 is good; 3 is damage or difference.", [(job, done.exit_code)]),
        _metric(
            "job_last_success_timestamp_seconds",
            "When the last run began that succeeded.",
            [(job, done.last_success)] if done.last_success else [],
        ),
        _metric(
            "job_step_duration_seconds",
            "How long each step took.",
            [
                ({**job, "step": f"{number} {end.command}"}, end.seconds)
                for number, end in enumerate(done.steps, 1)
            ],
        ),
        _metric(
            "job_findings",
            "Damage and differences that the job found.",
            [(job, sum(len(findings_of(end.result)) for end in done.steps))],
        ),
        *_of_vault(snapshots, drills, {"vault": vault}, size_bytes),
    ]
    return "".join(parts) + ("# EOF\n" if openmetrics else "")


def _of_vault(
    snapshots: Sequence[Snapshot],
    drills: Sequence[DrillProof],
    vault: Mapping[str, str],
    size_bytes: int,
) -> Iterable[str]:
    # a table is known by its server as well: two may have tables of the same names
    servers = {one.id: f"{one.server.hostname}:{one.server.port}" for one in snapshots}
    newest: dict[tuple[str, str], Snapshot] = {}
    for snapshot in snapshots:
        if not snapshot.partial:
            server = servers[snapshot.id]
            newest.update({(server, str(e.definition.table)): snapshot for e in snapshot.tables})
    proven: dict[tuple[str, str], DrillProof] = {}
    for proof in drills:
        if proof.share >= 1.0 and proof.snapshot in servers:
            server = servers[proof.snapshot]  # where the rows are from, not where it was rehearsed
            proven.update({(server, name): proof for name in proof.tables})
    yield _metric(
        "snapshot_timestamp_seconds",
        "When the newest whole snapshot of the table was taken.",
        [(_table(vault, key), one.created) for key, one in sorted(newest.items())],
    )
    yield _metric(
        "drill_timestamp_seconds",
        "When a restore of the table was last rehearsed and proven.",
        [(_table(vault, key), one.at) for key, one in sorted(proven.items())],
    )
    yield _metric(
        "restore_estimate_seconds",
        "How long a restore of all tables of the last drill takes.",
        [(_table(vault, key), one.restore_s) for key, one in sorted(proven.items())],
    )
    yield _metric(
        "snapshot_written_bytes",
        "Bytes of chunks that the newest whole snapshot of the table wrote anew.",
        [
            (_table(vault, key), entry.written_bytes)
            for key, one in sorted(newest.items())
            for entry in one.tables
            if str(entry.definition.table) == key[1]
        ],
    )
    yield _metric("vault_snapshots", "Snapshots in the vault.", [(vault, len(snapshots))])
    yield _metric("vault_size_bytes", "Bytes of all their files, each once.", [(vault, size_bytes)])


def _table(vault: Mapping[str, str], key: tuple[str, str]) -> dict[str, str]:
    server, table = key
    return {**vault, "server": server, "table": table}


def _metric(name: str, about: str, samples: Samples) -> str:
    lines = [f"tablevault_{name}{{{_labels(labels)}}} {value:.17g}\n" for labels, value in samples]
    head = f"# HELP tablevault_{name} {about}\n# TYPE tablevault_{name} gauge\n"
    return head + "".join(lines) if lines else ""


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    text = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return text.encode("utf-8", "backslashreplace").decode()
