"""Every mistake of a job and of all it refers to at once, as a person reads them."""

from __future__ import annotations

import pytest

from dativo.config import paths
from dativo.config.environment import Environment
from dativo.config.resolve import load_job
from dativo.errors import ConfigError
from tests.project import Project

JOB = """\
tenant_id: acme/..
enviroment: prod
source_connector_path: connectors/sources/files.yaml
target_connector_path: connectors/targets/icberg.yaml
asset_path: assets/people.yaml
source:
  files:
    - {path: data/people.csv, obejct: x}
    - {ptah: 1}
  incremental:
    strategy: updated_att
    lookback_days: "-1"
target:
  partitioning: [regoin]
schema_validation_mode: quarantaine
max_rejects: 10
retry_config:
  max_retries: ${RETRIES}
"""

RECIPE = """\
name: files
type: source
engine: native
rols: [source]
"""

ASSET = """\
name: people
version: "1.0"
apiVersion: v3.0.2
schema:
  - {name: id, type: integr, required: true}
  - {name: region, type: string, pattern: "(?<!x)y"}
  - {name: Region, type: "decimal(50,2)"}
  - {name: amount, type: decimal, minimum: low}
data_quality:
  monitoring: {enabled: true}
"""

WANTED = """\
error: enviroment: unknown key 'enviroment'
  jobs/acme/bad.yaml:2:1
  did you mean 'environment'?   known here: $schema, tenant_id, environment, source_connector, source_connector_path, \
target_connector, target_connector_path, asset, asset_path, assets, asset_paths, source, … (15 more)
error: schema_validation_mode: expected one of 'strict', 'warn', 'quarantine', got 'quarantaine'
  jobs/acme/bad.yaml:15:25
  did you mean 'quarantine'?
error: retry_config.max_retries: Missing required environment variable: RETRIES
  jobs/acme/bad.yaml:18:16
  it is set nowhere; set it, or write a default as ${RETRIES:-value}
error: tenant_id: 'acme/..' cannot be a tenant: it names folders and branches
  jobs/acme/bad.yaml:1:12
  use letters, digits, '.', '_' and '-', starting with a letter or digit
error: rols: unknown key 'rols'
  connectors/sources/files.yaml:4:1
  did you mean 'roles'?   known here: $schema, name, type, roles, description, default_engine, engine, credentials, \
connection_template, incremental, incremental_strategy, rate_limits, … (6 more)
error: target_connector_path: Connector recipe not found: 'connectors/targets/icberg.yaml'
  jobs/acme/bad.yaml:4:24
  looked at: connectors/targets/icberg.yaml, connectors/icberg.yaml, SHIPPED/connectors/targets/icberg.yaml, \
SHIPPED/connectors/icberg.yaml
  there is SHIPPED/connectors/targets/iceberg.yaml: is it meant?
error: data_quality.monitoring.oncall_rotation: 'oncall_rotation' is required when monitoring is enabled
  assets/people.yaml:10:15
  name who is called, or set `enabled: false`
warning: team.owner: the contract names no owner
  assets/people.yaml:1:1
  add `team: {owner: you@example.com}`
error: schema[0].type: unknown type 'integr'
  assets/people.yaml:5:22
  did you mean 'integer'?
error: schema[1].pattern: the pattern uses '(?<!', which RE2 does not know
  assets/people.yaml:6:43
  write it without look-around and back-references
error: schema[2].type: decimal(50,2) is not possible
  assets/people.yaml:7:26
  precision is 1 to 38, scale 0 to precision
error: schema[3].minimum: 'low' is no decimal(38,9)
  assets/people.yaml:8:44
  write a value of the column's type (decimal(38,9))
error: schema[2].name: the column 'Region' stands twice
  assets/people.yaml:7:12
  it stands first in line 6; letter case does not tell columns apart"""


def test_every_mistake_of_every_file_is_told_at_once(project: Project) -> None:
    project.write("jobs/acme/bad.yaml", JOB)
    project.write("connectors/sources/files.yaml", RECIPE)
    project.write("assets/people.yaml", ASSET)
    with pytest.raises(ConfigError) as caught:
        load_job("jobs/acme/bad.yaml", environment=Environment([{}], ["nothing"]))
    shipped = str(paths.bundled("connectors").parent)
    assert caught.value.render().replace(shipped, "SHIPPED") == WANTED
    assert caught.value.exit_code == 2


def test_once_the_recipes_are_found_the_blocks_that_lie_over_them_are_judged(project: Project) -> None:
    project.write("jobs/acme/bad.yaml", JOB.replace("icberg", "iceberg"))
    project.write(
        "connectors/sources/files.yaml", RECIPE.replace("rols: [source]\n", "").replace("name: files", "name: csv")
    )
    project.asset([{"name": "id"}, {"name": "region"}])
    with pytest.raises(ConfigError) as caught:
        load_job("jobs/acme/bad.yaml", environment=Environment([{}], ["nothing"]))
    told = {(p.field, p.message) for p in caught.value.problems()}
    assert {
        ("source.files[0].obejct", "unknown key 'obejct'"),
        ("source.files[1].ptah", "unknown key 'ptah'"),
        ("source.incremental.strategy", "expected one of 'full_refresh', 'incremental', 'updated_at', 'updated_after', "
         "'created', 'file_modified_time', 'spreadsheet_modified_time', 'cdc', got 'updated_att'"),
        ("source.incremental.lookback_days", "expected a whole number >= 0, got '-1'"),
    } <= told  # fmt: skip


def test_a_column_that_does_not_exist_is_told_with_the_nearest_and_all_others(project: Project) -> None:
    project.asset([{"name": "id"}, {"name": "name"}, {"name": "region"}])
    project.job(target={"partitioning": ["id", "regoin"]})
    with pytest.raises(ConfigError) as caught:
        project.load()
    assert caught.value.render() == (
        "error: target.partitioning[1]: 'regoin' is not a column of asset people 1.0\n"
        "  jobs/acme/job.yaml:11:5\n"
        "  did you mean 'region'?   columns: id, name, region"
    )


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (None, "error: file not found\n  jobs/acme/job.yaml"),
        (b"", "error: the file is empty\n  jobs/acme/job.yaml"),
        (b"- a\n", "error: expected a job (a map), got a list\n  jobs/acme/job.yaml:1:1"),
        (b"tenant_id: [\n", "error: not YAML"),
        (
            b"tenant_id: a\ntenant_id: b\n",
            "error: the key 'tenant_id' stands twice in one map\n  jobs/acme/job.yaml:2:1",
        ),
        (b"\xff\xff", "error: the file is not UTF-8"),
    ],
)
def test_a_job_file_that_cannot_be_read_is_one_clear_mistake(
    project: Project, content: bytes | None, wanted: str
) -> None:
    if content is not None:
        project.write("jobs/acme/job.yaml", content)
    with pytest.raises(ConfigError) as caught:
        load_job("jobs/acme/job.yaml")
    assert caught.value.render().startswith(wanted)
    assert len(caught.value.problems()) == 1


def test_an_empty_map_lacks_everything_that_is_required(project: Project) -> None:
    project.write("jobs/acme/job.yaml", "{}")
    with pytest.raises(ConfigError) as caught:
        load_job("jobs/acme/job.yaml")
    assert [p.field for p in caught.value.problems()] == [
        "tenant_id",
        "source_connector_path",
        "target_connector_path",
        "asset_path",
    ]
