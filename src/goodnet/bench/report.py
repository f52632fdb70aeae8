"""BenchReport: the result of a benchmark, and its JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goodnet.bench.figures import Figures, Measured
from goodnet.bench.parallel import Failure
from goodnet.report.schema import plain, write_json

BENCH_SCHEMA_VERSION = "1.1"


@dataclass(frozen=True)
class BenchReport:
    """The result of a benchmark.

    Attributes:
        zoo: folder of the networks.
        seeds: of the scans; figures are computed from the first.
        count: clean images that a scan and a repair were given.
        figures: of each kind of attack and of all networks; see `figures.figures`.
        networks: each network with what was measured of it.
        failures: what could not be built or measured, and why.
        calibration: what each of the models that the detector's scores come from was fitted on.
        versions: of goodnet and what the result depends on.
    """

    zoo: str
    seeds: tuple[int, ...]
    count: int
    figures: tuple[Figures, ...]
    networks: tuple[Measured, ...]
    failures: tuple[Failure, ...]
    calibration: Mapping[str, str]
    versions: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data that JSON can hold; the full reports of scans and repairs stay in the zoo."""
        facts = {name: plain(getattr(self, name)) for name in self.__dataclass_fields__}
        for network in facts["networks"]:
            for row in filter(None, (*network["scans"], network["repair"])):
                del row["report"]
        return {"schema_version": BENCH_SCHEMA_VERSION, **facts}

    def save_json(self, path: str | Path) -> None:
        """Write the result as JSON, whole or not at all.

        Raises:
            OutputError: the file cannot be written.
        """
        write_json(self.to_dict(), Path(path))
