"""A proof as people and programs read it."""

from collections.abc import Iterator
from typing import Final

from execution.verify.findings import MEANING
from execution.verify.proof import Proof

_WHAT: Final = {
    "trades": "walked again: fills, price, fee, PnL; each published once",
    "orders": "hashes that say what their last update says",
    "positions": "replayed: quantity, entry cost, entry price, realised PnL",
    "updates": "without a gap, each change of status legal",
    "rejects": "one for every rejected order, none for another",
    "users": "",
    "symbols": "",
}
"""What is true of all of them where nothing was found."""


def proven(proof: Proof) -> dict[str, int]:
    """How much was looked at, by what it is."""
    counts = proof.counts
    return {
        "trades": counts.trades,
        "orders": counts.orders,
        "positions": counts.positions,
        "updates": counts.updates,
        "rejects": counts.rejects,
        "users": len(counts.users),
        "symbols": len(counts.symbols),
    }


def as_json(proof: Proof, where: str) -> dict[str, object]:
    """For programs: names, numbers and the first findings in full."""
    return {
        "ok": proof.ok,
        "redis": where,
        "proven": proven(proof),
        "unproven": proof.counts.unproven,
        "trimmed": proof.trimmed,
        "seconds": round(proof.seconds, 3),
        "counts": {str(name): count for name, count in proof.findings.counts.most_common()},
        "findings": [
            {"name": str(finding.name), "at": finding.at, "message": finding.message}
            for finding in proof.findings.shown
        ],
    }


def lines(proof: Proof, where: str) -> Iterator[str]:
    """For people: what was proven, or what was found."""
    yield from _findings(proof)
    took = f"in {proof.seconds:.1f} s"
    if proof.ok:
        yield f"proved {where} {took}: nothing contradicts the record"
    else:
        found = proof.findings.counts.total()
        yield f"FAILED {where} {took}: {found} finding{'' if found == 1 else 's'}"
    for name, count in proven(proof).items():
        said = _WHAT[name] if proof.ok else "read"
        yield f"  {name:<10}{count:>10,}  {said}".rstrip()
    for stream, lost in proof.trimmed.items():
        yield f"  {stream} lacks its first {lost:,} entries"
    if proof.counts.unproven:
        yield f"  {proof.counts.unproven:,} orders and positions begin before that: not proven"


def _findings(proof: Proof) -> Iterator[str]:
    findings = proof.findings
    for finding in findings.shown:
        yield f"{finding.name}  {finding.at}  {finding.message}"
    if more := findings.counts.total() - len(findings.shown):
        yield f"... and {more:,} more"
    if findings.counts:
        yield ""
        for name, count in findings.counts.most_common():
            yield f"{count:>8,}  {name:<21} {MEANING[name]}"
        yield ""
