"""The words that stand before the tables of the configuration reference."""

from __future__ import annotations

INTRO = """
# Configuration

A job names a source recipe, a target recipe and a data contract; what it says itself is laid over the recipes. All of it
is YAML, checked as a whole before anything is read or written: `dativo validate` tells every mistake at once, each with
file, line, column and what to do.

This page is made of the program's own structs by `python -m dativo.config.reference`.

## Editors

The folder `schemas/` has a JSON schema for each kind of file. A comment in the first line makes an editor with a YAML
language server check and complete while you type; a key `$schema` does the same and is ignored by dativo:

```yaml
# yaml-language-server: $schema=../../schemas/job.schema.json
tenant_id: acme
```

| file | schema |
|---|---|
| job | `schemas/job.schema.json` |
| asset, flat or below `asset:` | `schemas/odcs/dativo-odcs-3.0.2-extended.schema.json` |
| asset in the standard's own form | `schemas/odcs/odcs-json-schema-v3.0.2.json` |
| recipe | `schemas/recipe.schema.json` |
| registry | `schemas/registry.schema.json` |
| `configs/runner.yaml`, `configs/policy.yaml` | `schemas/runner.schema.json`, `schemas/policy.schema.json` |

## YAML

Files are UTF-8, at most 4 MiB, one document each. `yes`, `no`, `on` and `off` are booleans where a boolean is wanted, and
stay words where text is wanted: `enum: [yes, no]` of a text column means the two words, and a version `1.10` stays `1.10`.
Dates, times and `08` are text. A key that stands twice in one map is an error, as are tags of programming languages, more
than 100 aliases, and nesting deeper than 60 levels.

## Environment variables

Variables are put into every text value of jobs, recipes, the runner's and the policy's file; contracts stay as written.
What a variable holds is never expanded again.

| written | means |
|---|---|
| `$NAME`, `${NAME}` | the value of `NAME` |
| `${NAME:-text}` | `text` where `NAME` is not set or empty |
| `${NAME-text}` | `text` where `NAME` is not set |
| `$$` | a dollar sign |

Names are letters, digits and `_`, and case counts. A default may be empty and holds no variable itself. Any other dollar
sign stays, and so do placeholders as `{tenant}` and `{{terraform_outputs.name}}`. The process environment comes first, then
the file `.env` in the working directory. In cloud mode only the variables of the connectors are read, and no `.env`.

A variable that is set nowhere is told when the job is checked, and stops the run if the run would use its value: the S3
endpoint of a recipe is not missed by a job whose tables lie on the local disk.

## Paths

A relative path is looked for in the working directory, then in the project: the nearest folder above the job that holds
`connectors/` or `assets/`. A leading `/app/` (the layout of the container) falls back to the project. A recipe
`connectors/sources/NAME.yaml` or `connectors/targets/NAME.yaml` that is not there falls back to `connectors/NAME.yaml`, and
the reverse; then to what ships with dativo. In cloud mode no path may lead out of the project.

## Unknown keys

An unknown key at the top of a job is an error. Below, an unknown key that is one slip away from a known one (`lookback_day`)
is an error that names the known one; any other is kept, for plugins may read it, and told as a warning, which
`dativo validate --strict` makes an error. Maps that are free by design (options of engines, connections, labels) are not
judged.

## What is not built yet

Blocks of connectors and services that this version does not have are read and checked all the same, so that a file keeps
its meaning. A run refuses what would change the data if it were passed over; `dativo plan` names the blocks that do nothing.

## What is laid over what

Maps merge key by key at every depth; lists and single values replace; `null` takes a value away. The order, from the
bottom: the recipe, then the job. Settings of the table (`partitioning`, `mode`) come from the job, else from the
contract's `target`, else from the recipe. `incremental` is on only where the job has a block of its own that is not empty;
the recipe fills what that block leaves open.
"""
