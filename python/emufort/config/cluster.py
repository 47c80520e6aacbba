"""Where steps 1 and 2 are computed."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from emufort.config.section import Section

#: Batch systems that can start workers.
BatchSystem = Literal["slurm", "pbs", "lsf", "sge"]


class ClusterConfig(Section):
    """Where steps 1 and 2 are computed; these options do not affect the results."""

    engine: Literal["auto", "pool", "dask"] = Field(
        "auto", description="what runs the processes; auto uses Dask only for a cluster"
    )
    scheduler: str | None = Field(
        None, description="address of a Dask scheduler, such as tcp://node:8786"
    )
    kind: BatchSystem | None = Field(
        None, description="batch system that starts the workers: slurm, pbs, lsf or sge"
    )
    jobs: int = Field(1, ge=1, description="batch jobs")
    workers_per_job: int = Field(1, ge=1, description="worker processes in each job, one core each")
    time: str = Field("01:00:00", description="time limit of a job, HH:MM:SS")
    partition: str | None = Field(None, description="partition (slurm) or queue of the jobs")
    account: str | None = Field(
        None, description="account (slurm, pbs) or project (lsf, sge) of the jobs"
    )
    memory: str | None = Field(None, description="memory of a job, such as 8G; not for sge")
    resources: str | None = Field(
        None,
        description="for pbs and sge: resources of a job (-l), such as select=1:ncpus=8:ngpus=1; "
        "for pbs they replace those of workers_per_job and memory",
    )
    options: tuple[str, ...] = Field(
        (), description="further options of the batch system, such as --gres=gpu:1 for slurm"
    )
    setup: tuple[str, ...] = Field(
        (), description="shell lines before the worker, such as module load ..."
    )
    python: str | None = Field(
        None, description="Python on the nodes: a command or path; default: the running one"
    )
    host: str | None = Field(None, description="name or address by which nodes reach the driver")

    @field_validator(
        "scheduler", "time", "partition", "account", "memory", "resources", "python", "host"
    )
    @classmethod
    def _check_text(cls, text: str | None) -> str | None:
        if text is not None and (not text.strip() or not text.isprintable()):
            raise ValueError(f"{text!r} is empty or has a line break or another control character")
        return text

    @field_validator("host")
    @classmethod
    def _check_host(cls, host: str | None) -> str | None:
        if host is not None and not re.fullmatch(r"[A-Za-z0-9._:%\[\]-]+", host):
            raise ValueError(f"{host!r} is not a name or address of a machine")
        return host

    @field_validator("python")
    @classmethod
    def _check_python(cls, python: str | None) -> str | None:
        if python is not None and (python.startswith(("~", "-")) or "$" in python):
            raise ValueError(
                f"{python!r} is used without a shell: give the absolute path, or a command that "
                "lines of 'setup' put on the PATH"
            )
        return python

    @field_validator("options")
    @classmethod
    def _check_options(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        for option in options:
            if not option.startswith("-") or not option.isprintable():
                raise ValueError(
                    f"{option!r} is not an option of a batch system: give one line that starts "
                    "with '-'"
                )
        return options

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.scheduler is not None and self.kind is not None:
            raise ValueError("give a scheduler or a kind of cluster, not both")
        if self.engine == "pool" and not self.is_here:
            raise ValueError("engine = 'pool' uses only this machine; omit it")
        if self.resources is not None and self.kind in ("slurm", "lsf"):
            raise ValueError(
                f"resources are for pbs and sge; ask for those of {self.kind} with 'options'"
            )
        if self.kind in ("pbs", "lsf", "sge"):
            self._check_without_slurm(self.kind)
        return self

    def _check_without_slurm(self, kind: str) -> None:
        """Refuse values that SLURM understands, but this batch system does not."""
        if not re.fullmatch(r"\d+:[0-5]\d:[0-5]\d", self.time):
            raise ValueError(f"time is {self.time!r}; for {kind} write it as HH:MM:SS")
        if kind == "sge":
            if self.memory is not None:
                raise ValueError(
                    "sge has no common name for memory; ask for it with 'resources', such as "
                    "h_vmem=8G"
                )
            if self.workers_per_job > 1 and not any(o.startswith("-pe ") for o in self.options):
                raise ValueError(
                    "a job of sge has more than one core only in a parallel environment, whose "
                    f"name each site chooses; give options = ['-pe NAME {self.workers_per_job}']"
                )
        elif self.memory is not None and self.kibibytes is None:
            raise ValueError(f"memory is {self.memory!r}; for {kind} write it as 8G or 500M")

    @property
    def is_here(self) -> bool:
        """Whether processes of this machine compute, instead of an existing cluster or jobs."""
        return self.scheduler is None and self.kind is None

    @property
    def kibibytes(self) -> int | None:
        """Memory of a job [KiB]; None if `memory` is not a number with a unit."""
        found = re.fullmatch(r"(\d+)([KMGT])B?", self.memory or "", re.IGNORECASE)
        return int(found[1]) * 1024 ** "KMGT".index(found[2].upper()) if found else None
