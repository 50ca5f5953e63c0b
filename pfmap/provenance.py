"""Which samples are in a result: checked, joined and compared, so that none is ever counted twice.

The one thing to know: draws are records of ranges of one seed's stream, and the halves of a split know each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from pfmap.errors import InvalidInput


def differing_fields(
    one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """(field, value in one, value in other) wherever two JSON objects differ, nested fields as "map.sigma_w"."""
    for key in sorted(one.keys() | other.keys()):
        mine, theirs = one.get(key, "absent"), other.get(key, "absent")
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
            yield from differing_fields(mine, theirs, f"{prefix}{key}.")
        elif mine != theirs:
            yield f"{prefix}{key}", mine, theirs


def checked_provenance(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in JSON types, with its draws as one canonical list.

    Raises:
        InvalidInput: no JSON, draws that are no such records, or samples that would be counted twice.
    """
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(provenance)))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"provenance must be a mapping of JSON types: {error}") from None
    if "draws" in copy:
        copy["draws"] = _joined_draws(copy["draws"])
    return copy


def half_of_draws(draws: Sequence[Mapping[str, Any]], seed: int, half: int) -> list[dict[str, Any]]:
    """The records of one half, 0 or 1, of a split of counts from these draws."""
    # Counts are a function of their draws, so these and the seed identify the split.
    split = blake2b(json.dumps([draws, int(seed)], sort_keys=True).encode(), digest_size=8).hexdigest()
    step = {"split": split, "seed": int(seed), "half": half}
    return [{**record, "part": [*record.get("part", []), step]} for record in draws]


def _joined_draws(draws: Any) -> list[dict[str, Any]]:
    # One canonical list of disjoint sets of samples: halves of a split become whole again, then adjoining ranges one.
    if not isinstance(draws, list) or not all(map(_is_record, draws)):
        raise InvalidInput(
            "provenance['draws'] must list records with a 'stream' and integers 'seed', 'start' < 'stop'; "
            f"{json.dumps(draws)[:200]} came"
        )
    records = sorted(draws, key=_record_order)
    _refuse_overlaps(records)
    joined: list[dict[str, Any]] = []
    for record in sorted(_rejoined_halves(records), key=_record_order):
        last = joined[-1] if joined else {}
        if (
            "part" not in record
            and {**last, "start": 0, "stop": 0} == {**record, "start": 0, "stop": 0}
            and last["stop"] == record["start"]
        ):
            joined[-1] = {**last, "stop": record["stop"]}
        else:
            joined.append(record)
    return joined


def _is_record(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and "stream" in record
        and all(isinstance(record.get(key), int) for key in ("seed", "start", "stop"))
        and record["start"] < record["stop"]
    )


def _record_order(record: dict[str, Any]) -> tuple[Any, ...]:
    return json.dumps(record["stream"]), record["seed"], record["start"], _key(record)


def _key(record: dict[str, Any]) -> str:
    return json.dumps(record, sort_keys=True)


def _rejoined_halves(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    present = {_key(record): record for record in records}
    halves = [record for record in records if record.get("part")]
    while halves:
        half = halves.pop()
        *before, last = half["part"]
        twin = {**half, "part": [*before, {**last, "half": 1 - last["half"]}]}
        if _key(half) in present and _key(twin) in present:
            del present[_key(half)], present[_key(twin)]
            whole = {k: v for k, v in half.items() if k != "part"}
            if before:
                whole["part"] = before
                halves.append(whole)
            present[_key(whole)] = whole
    return list(present.values())


def _refuse_overlaps(ordered: Sequence[dict[str, Any]]) -> None:
    for i, one in enumerate(ordered):
        for other in ordered[i + 1 :]:
            if (other["stream"], other["seed"]) != (one["stream"], one["seed"]) or other["start"] >= one["stop"]:
                break
            if not _distinct_parts(one.get("part", []), other.get("part", [])):
                last = min(one["stop"], other["stop"]) - 1
                raise InvalidInput(
                    f"samples {other['start']} to {last} of seed {one['seed']} would be counted twice; "
                    "merge draws of different seeds, or the two halves of one split"
                )


def _distinct_parts(one: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]]) -> bool:
    for step, other_step in zip(one, other, strict=False):
        if step != other_step:
            return bool(step["split"] == other_step["split"])
    return False
