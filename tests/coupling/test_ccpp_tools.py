"""The CCPP scheme through the tools of ccpp-framework: ccpp_prebuild and ccpp_capgen.

The framework is in no package index. Set EMUFORT_CCPP_FRAMEWORK to a checkout of
NCAR/ccpp-framework to run these tests. The host is written from the metadata of the scheme: one
module with a variable for every argument.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from emufort.export import Bundle
from emufort.export.host import write_host
from emufort.toolchain.sources import dependencies, in_order
from tests.coupling.conftest import run
from tests.coupling.test_ccpp import parse_metadata

FRAMEWORK = Path(os.environ.get("EMUFORT_CCPP_FRAMEWORK", "/nonexistent"))

pytestmark = pytest.mark.skipif(
    not (FRAMEWORK / "scripts" / "ccpp_capgen.py").is_file() or shutil.which("gfortran") is None,
    reason="EMUFORT_CCPP_FRAMEWORK names no checkout of ccpp-framework, or there is no gfortran",
)

SUITE = """<?xml version="1.0" encoding="UTF-8"?>
<suite name="droplets" version="1.0">
  <group name="physics">
    <scheme>emufort_activate</scheme>
  </group>
</suite>
"""
COLUMNS, LEVELS = 21, 3
#: Standard name -> value of the host.
VALUES = {
    "vertical_layer_dimension": str(LEVELS),
    "number_of_aerosol_modes_for_activation": "aerosol_modes",
    "number_of_kinds_of_aerosol_activation_events": "emufort_host_n_counts",
    "control_for_aerosol_activation_scheme": "'emulator'",
    "control_for_aerosol_activation_outside_range_of_emulator": "'ratio'",
    "control_for_mismatch_of_aerosol_activation_emulator": "'refuse'",
    "standard_gravitational_acceleration": "aerosol_gravity",
    "gas_constant_of_dry_air": "aerosol_gas_constant_air",
    "gas_constant_of_water_vapor": "aerosol_gas_constant_vapour",
    "specific_heat_of_dry_air_at_constant_pressure": "aerosol_heat_capacity_air",
    "latent_heat_of_vaporization_of_water_at_0c": "aerosol_latent_heat",
    "fresh_liquid_water_density_at_0c": "aerosol_density_water",
    "geometric_standard_deviation_of_aerosol_modes_for_activation": "aerosol_sigma",
    "subgrid_scale_vertical_velocity_for_droplet_nucleation": "0.5_kind_phys",
    "maximum_updraft_speed_for_aerosol_activation": "10.0_kind_phys",
    "air_temperature": "285.0_kind_phys",
    "air_density": "1.0_kind_phys",
    "number_concentration_of_aerosol_modes_for_activation": "1.0e8_kind_phys",
    "volume_concentration_of_aerosol_modes_for_activation": "1.0e-12_kind_phys",
    "hygroscopicity_of_aerosol_modes_for_activation": "0.5_kind_phys",
}
FRAMEWORK_NAMES = ("horizontal_loop_extent", "ccpp_error_message", "ccpp_error_code")


MAIN = """
program main
  use ccpp_kinds, only: kind_phys
  use host_data
  @USE@
  implicit none
  integer :: errflg
  character(len=512) :: errmsg
  call set_up()
  @CALLS@
  if (any(number_fraction < 0 .or. number_fraction > 1)) error stop 'fractions'
  if (all(number_fraction <= 0) .or. any(smax <= 0)) error stop 'no answer'
  if (any(n_counted(:, 1) /= nlev) .or. any(answered_by < 0)) error stop 'counts'
  print '(a, 1x, i0)', 'answered', sum(n_counted(:, 1))
end program main
"""
STOP = "if (errflg /= 0) error stop 'a phase failed'"


def write_host_sources(folder: Path, metadata: str, columns: str, more: str = "") -> None:
    """Write the module `host_data` with a variable for every argument, and its metadata.

    `columns` is the standard name of the number of columns in the metadata.
    """
    _, tables = parse_metadata(metadata)
    variables = {
        name: entry
        for table in tables.values()
        for name, entry in table.items()
        if entry["standard_name"] not in FRAMEWORK_NAMES
    }
    local = {entry["standard_name"]: name for name, entry in variables.items()}
    local["horizontal_loop_extent"] = "columns"
    declared, set_up = [], []
    described = (
        "[ccpp-table-properties]\n  name = host_data\n  type = module\n"
        f"[ccpp-arg-table]\n  name = host_data\n  type = module\n{more}"
        f"[ columns ]\n  standard_name = {columns}\n  units = count\n  type = integer\n"
        "  dimensions = ()\n"
    )
    for name, entry in variables.items():
        dimensions = [d for d in entry["dimensions"].strip("()").split(", ") if d]
        kind = entry.get("kind", "").replace("len=*", "len=32")
        of_type = f"{entry['type']}({kind})" if kind else entry["type"]
        shape = f"({', '.join(':' * len(dimensions))})" if dimensions else ""
        allocated = ", allocatable" if dimensions else ""
        declared.append(f"  {of_type}{allocated}, public :: {name}{shape}")
        if dimensions:
            set_up.append(f"    allocate ({name}({', '.join(local[d] for d in dimensions)}))")
        default = {"logical": ".false.", "integer": "-1", "real": "0.0_kind_phys"}
        set_up.append(
            f"    {name} = {VALUES.get(entry['standard_name'], default.get(entry['type']))}"
        )
        of_host = ", ".join(dimensions).replace("horizontal_loop_extent", columns)
        described += (
            f"[ {name} ]\n  standard_name = {entry['standard_name']}\n  units = {entry['units']}\n"
            f"  type = {entry['type']}{' | kind = ' + kind if kind else ''}\n"
            f"  dimensions = ({of_host})\n"
        )
    lines = "\n".join
    instance = "  use ccpp_types, only: ccpp_t\n" if "ccpp_t" in more else ""
    cdata = "  type(ccpp_t), public :: cdata\n" if "ccpp_t" in more else ""
    (folder / "host_data.F90").write_text(f"""
module host_data
  use ccpp_kinds, only: kind_phys
{instance}  use emufort_aerosol_contract
  use emufort_host, only: emufort_host_n_counts
  implicit none
  private
  public :: set_up
  !> \\section arg_table_host_data Argument Table
  !! \\htmlinclude host_data.html
  !!
  integer, public :: columns = {COLUMNS}
{cdata}{lines(declared)}
contains
  subroutine set_up()
{lines(set_up)}
  end subroutine set_up
end module host_data
""")
    (folder / "host_data.meta").write_text(described)


@pytest.fixture(params=["e3sm_mam4", "e3sm_mam5"])
def folder(
    request: pytest.FixtureRequest, preset_bundle: Callable[[str], Bundle], tmp_path: Path
) -> Path:
    """The glue of a preset."""
    return write_host(preset_bundle(request.param), "ccpp", tmp_path / "glue").path


def compile_and_run(folder: Path, sources: list[Path], compiler: str = "gfortran") -> None:
    """Compile files in the order of the list; the program must see all columns answered."""
    run(compiler, "-O1", "-ffree-line-length-none", *sources, "-o", "main", cwd=folder)
    assert run(folder / "main") == f"answered {COLUMNS * LEVELS}\n"


def files_in_order(names: Sequence[str]) -> list[str]:
    """Return files of the framework in the order of their use."""
    return in_order(dependencies({name: Path(name).read_text() for name in names}), names)


def test_capgen(folder: Path) -> None:
    text = (folder / "emufort_activate.meta").read_text()
    write_host_sources(folder, text, "horizontal_dimension")
    arguments = {
        "col_start": ("horizontal_loop_begin", "count", "integer"),
        "col_end": ("horizontal_loop_end", "count", "integer"),
        "errmsg": ("ccpp_error_message", "none", "character | kind = len=512"),
        "errflg": ("ccpp_error_code", "1", "integer"),
    }
    (folder / "tiny.meta").write_text(
        "[ccpp-table-properties]\n  name = tiny\n  type = host\n"
        "[ccpp-arg-table]\n  name = tiny\n  type = host\n"
        + "".join(entry(name, *described) for name, described in arguments.items())
    )
    (folder / "tiny.F90").write_text(
        "module tiny_program\ncontains\n"
        "!> \\section arg_table_tiny Argument Table\n!! \\htmlinclude tiny.html\n!!\n"
        "subroutine tiny()\nend subroutine tiny\nend module tiny_program\n"
    )
    (folder / "main.F90").write_text(
        MAIN.replace("@USE@", "use tiny_ccpp_cap").replace(
            "@CALLS@",
            "\n  ".join(
                f"call tiny_ccpp_physics_{call}\n  if (errflg /= 0) print *, errmsg\n  {STOP}"
                for call in (
                    "initialize('droplets', errmsg, errflg)",
                    "timestep_initial('droplets', errmsg, errflg)",
                    "run('droplets', 'physics', 1, columns, errmsg, errflg)",
                    "timestep_final('droplets', errmsg, errflg)",
                    "finalize('droplets', errmsg, errflg)",
                )
            ),
        )
    )
    (folder / "suite_droplets.xml").write_text(SUITE)
    scripts = FRAMEWORK / "scripts"
    run(
        *(sys.executable, scripts / "ccpp_capgen.py"),
        *("--host-files", "tiny.meta,host_data.meta"),
        *("--scheme-files", "emufort_activate.meta"),
        *("--suites", "suite_droplets.xml", "--output-root", "caps", "--host-name", "tiny"),
        cwd=folder,
    )
    report = [sys.executable, scripts / "ccpp_datafile.py", "caps/datatable.xml"]
    needed = run(*report, "--dependencies", cwd=folder).strip().split(",")
    assert [Path(name).name for name in needed] == sorted(
        path.name for path in (folder / "dependencies").iterdir()
    )
    utilities = files_in_order(run(*report, "--utility-files", cwd=folder).strip().split(","))
    caps = files_in_order(
        [
            path
            for kind in ("--suite-files", "--host-files")
            for path in run(*report, kind, cwd=folder).strip().split(",")
            if path
        ]
    )
    own = ["emufort_activate.F90", "host_data.F90"]
    files = [Path(name) for name in (*utilities, *needed, *own, *caps, "main.F90")]
    compile_and_run(folder, files)


PREBUILD = """
HOST_MODEL_IDENTIFIER = "tiny"
VARIABLE_DEFINITION_FILES = ["{framework}/src/ccpp_types.F90", "ccpp_kinds.F90", "host_data.F90"]
TYPEDEFS_NEW_METADATA = {{
    "ccpp_types": {{"ccpp_t": "cdata", "ccpp_types": ""}},
    "host_data": {{"host_data": ""}},
}}
SCHEME_FILES = ["emufort_activate.F90"]
DEFAULT_BUILD_DIR = "caps"
TYPEDEFS_MAKEFILE = "{{build_dir}}/TYPEDEFS.mk"
TYPEDEFS_CMAKEFILE = "{{build_dir}}/TYPEDEFS.cmake"
TYPEDEFS_SOURCEFILE = "{{build_dir}}/TYPEDEFS.sh"
SCHEMES_MAKEFILE = "{{build_dir}}/SCHEMES.mk"
SCHEMES_CMAKEFILE = "{{build_dir}}/SCHEMES.cmake"
SCHEMES_SOURCEFILE = "{{build_dir}}/SCHEMES.sh"
CAPS_MAKEFILE = "{{build_dir}}/CAPS.mk"
CAPS_CMAKEFILE = "{{build_dir}}/CAPS.cmake"
CAPS_SOURCEFILE = "{{build_dir}}/CAPS.sh"
CAPS_DIR = "{{build_dir}}"
SUITES_DIR = "suites"
OPTIONAL_ARGUMENTS = {{}}
STATIC_API_DIR = "{{build_dir}}"
STATIC_API_CMAKEFILE = "{{build_dir}}/API.cmake"
STATIC_API_SOURCEFILE = "{{build_dir}}/API.sh"
METADATA_HTML_OUTPUT_DIR = "{{build_dir}}"
HTML_VARTABLE_FILE = "{{build_dir}}/variables.html"
LATEX_VARTABLE_FILE = "{{build_dir}}/variables.tex"
"""
KINDS = """
module ccpp_kinds
  !> \\section arg_table_ccpp_kinds Argument Table
  !! \\htmlinclude ccpp_kinds.html
  !!
  implicit none
  integer, parameter :: kind_phys = kind(1.0d0)
end module ccpp_kinds
"""


def entry(name: str, standard: str, units: str, of_type: str) -> str:
    """Return the metadata of a scalar of the host."""
    return (
        f"[ {name} ]\n  standard_name = {standard}\n  units = {units}\n  type = {of_type}\n"
        "  dimensions = ()\n"
    )


@pytest.mark.skipif(shutil.which("mpif90") is None, reason="the types of the framework use MPI")
def test_prebuild(folder: Path) -> None:
    text = (folder / "emufort_activate.meta").read_text()
    cdata = entry("cdata", "ccpp_t_instance", "DDT", "ccpp_t")
    write_host_sources(folder, text, "horizontal_loop_extent", cdata)
    (folder / "ccpp_kinds.F90").write_text(KINDS)
    (folder / "ccpp_kinds.meta").write_text(
        "[ccpp-table-properties]\n  name = ccpp_kinds\n  type = module\n  dependencies =\n"
        "[ccpp-arg-table]\n  name = ccpp_kinds\n  type = module\n"
        + entry("kind_phys", "kind_phys", "none", "integer")
    )
    (folder / "config.py").write_text(PREBUILD.format(framework=FRAMEWORK))
    (folder / "main.F90").write_text(
        MAIN.replace("@USE@", "use ccpp_static_api").replace(
            "@CALLS@",
            "cdata%thrd_no = 1; cdata%chunk_no = 1; cdata%thrd_cnt = 1; cdata%ccpp_instance = 1\n  "
            + "\n  ".join(
                f"call ccpp_physics_{phase}(cdata, suite_name='droplets', ierr=errflg)\n"
                f"  if (errflg /= 0) print *, cdata%errmsg\n  {STOP}"
                for phase in ("init", "timestep_init", "run", "timestep_finalize", "finalize")
            ),
        )
    )
    for name in ("caps", "suites"):
        (folder / name).mkdir()
    scheme = "<scheme>emufort_activate</scheme>"
    (folder / "suites" / "suite_droplets.xml").write_text(
        SUITE.replace(scheme, f'<subcycle loop="1">{scheme}</subcycle>')
    )
    run(
        *(sys.executable, FRAMEWORK / "scripts" / "ccpp_prebuild.py"),
        *("--config=config.py", "--builddir=caps"),
        cwd=folder,
    )

    def listed(name: str) -> list[Path]:
        words = re.split(r"[\";=\s]+", (folder / "caps" / name).read_text())
        return [Path(word) for word in words if word.endswith(".F90")]

    # The tool sorts paths; what it lists of the glue is in the order of compilation.
    sources = listed("SCHEMES.sh")
    numbered = sorted((folder / "dependencies").iterdir())
    ours = [path for path in sources if path in numbered or path.name == "emufort_activate.F90"]
    assert ours == [*numbered, folder / "emufort_activate.F90"]
    sources.insert(0, sources.pop(sources.index(folder / "ccpp_kinds.F90")))
    caps = files_in_order([*map(str, listed("CAPS.sh")), *map(str, listed("API.sh"))])
    files = [*sources, *map(Path, caps), folder / "main.F90"]
    compile_and_run(folder, files, "mpif90")
