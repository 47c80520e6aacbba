"""Where steps 1 and 2 are computed."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from emufort.config.section import Section


class ClusterConfig(Section):
    """Where steps 1 and 2 are computed; these options do not affect the results."""

    engine: Literal["auto", "pool", "dask"] = Field(
        "auto", description="what runs the processes; auto uses Dask only for a cluster"
    )
    scheduler: str | None = Field(
        None, description="address of a Dask scheduler, such as tcp://node:8786"
    )
    kind: Literal["slurm"] | None = Field(None, description="batch system that starts the workers")
    jobs: int = Field(1, ge=1, description="batch jobs")
    workers_per_job: int = Field(1, ge=1, description="worker processes in each job, one core each")
    time: str = Field("01:00:00", description="time limit of a job")
    partition: str | None = None
    account: str | None = None
    memory: str | None = Field(None, description="memory of a job, such as 8G")
    options: tuple[str, ...] = Field(
        (), description="further #SBATCH options as sbatch reads them, such as --gres=gpu:1"
    )
    setup: tuple[str, ...] = Field(
        (), description="shell lines before the worker, such as module load ..."
    )
    python: str | None = Field(
        None, description="Python on the nodes: a command or path; default: the running one"
    )
    host: str | None = Field(None, description="name or address by which nodes reach the driver")

    @field_validator("scheduler", "time", "partition", "account", "memory", "python", "host")
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
                    f"{option!r} is not an option of sbatch: give one line that starts with '-'"
                )
        return options

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.scheduler is not None and self.kind is not None:
            raise ValueError("give a scheduler or a kind of cluster, not both")
        if self.engine == "pool" and (self.scheduler or self.kind):
            raise ValueError("engine = 'pool' uses only this machine; omit it")
        return self
