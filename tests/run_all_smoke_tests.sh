#!/bin/sh
# Runs the jobs of tests/fixtures as a person would, in a copy that is thrown away, and tells what came of it.
# It needs no server. Exit code 0: all was as it should be; 1: it was not. `-v` shows what the commands say.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
if [ -n "${DATIVO:-}" ]; then
    :
elif [ -x "$root/.venv/bin/dativo" ]; then
    DATIVO=$root/.venv/bin/dativo
elif command -v dativo >/dev/null 2>&1; then
    DATIVO=$(command -v dativo)
else
    echo "dativo is not installed: ./dev test installs it, or set DATIVO to the program" >&2
    exit 1
fi

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT INT TERM
mkdir -p "$copy/tests" "$copy/configs"
cp -R "$root/tests/fixtures" "$copy/tests/fixtures"
cp -R "$root/connectors" "$root/registry" "$copy/"
rm -rf "$copy/tests/fixtures/.local"
chmod -R go= "$copy/tests/fixtures/secrets"
cd "$copy"
# Nothing of the person's own reaches the runs.
unset NESSIE_URI STATE_DIR S3_ENDPOINT S3_BUCKET DATIVO_SECRET_MANAGER DATIVO_SECRET_MANAGER_CONFIG DATIVO_REGISTRY || true

failed=0
count=0

# step NAME CODE COMMAND…: runs dativo and compares its exit code.
step() {
    name=$1 wanted=$2
    shift 2
    count=$((count + 1))
    code=0
    "$DATIVO" "$@" >output.txt 2>&1 || code=$?
    if [ "$code" -eq "$wanted" ]; then
        echo "✓ $name"
        [ "$verbose" = 0 ] || sed 's/^/    /' output.txt
    else
        echo "✗ $name: exit code $code instead of $wanted"
        sed 's/^/    /' output.txt
        failed=$((failed + 1))
    fi
}

# said NAME TEXT: the last command said so.
said() {
    count=$((count + 1))
    if grep -qF -- "$2" output.txt; then
        echo "✓ $1"
    else
        echo "✗ $1: '$2' was not said"
        sed 's/^/    /' output.txt
        failed=$((failed + 1))
    fi
}

verbose=0
[ "${1:-}" != "-v" ] || verbose=1

with="--secrets-dir tests/fixtures/secrets --tenant-id test_tenant --mode self_hosted"
# shellcheck disable=SC2086 # several options
{
    step "all fixtures are valid" 0 validate --strict tests/fixtures/jobs tests/fixtures/assets
    step "the runner's configuration is valid" 0 validate --strict tests/fixtures/runner.yaml
    for job in tests/fixtures/jobs/*.yaml; do
        step "check $(basename "$job")" 0 check --config "$job" --secrets-dir tests/fixtures/secrets
    done
    step "every job runs" 0 run --job-dir tests/fixtures/jobs $with
    for event in startup_begin jobs_loaded tenant_override secrets_loaded env_validated infra_validated \
        state_initialized startup_complete; do
        said "the start tells $event" "\"event_type\": \"$event\""
    done
    step "every job runs again, two at a time" 0 run --job-dir tests/fixtures/jobs $with --jobs 2 --log-format none
    said "what was loaded is not loaded again" "csv_product_state_persistence   =           0        0"
    step "a job with mistakes fails" 2 run --config tests/fixtures/mistakes/csv_malformed_data.yaml --mode self_hosted
    step "a catalog that is not there fails" 2 run --config tests/fixtures/mistakes/catalog_connection_failure.yaml
    said "and is told with its setting" "target.catalog.uri"
    cp tests/fixtures/mistakes/unknown_key.yaml tests/fixtures/jobs/
    step "a file with mistakes does not stop the others" 1 run --job-dir tests/fixtures/jobs $with
    step "but with --fail-fast it does" 2 run --job-dir tests/fixtures/jobs $with --fail-fast
    step "another tenant is refused" 2 run --job-dir tests/fixtures/jobs --tenant-id another
    step "the table shows its rows" 0 show tests/fixtures/jobs/csv_employee_to_iceberg.yaml
}

if grep -rq "that-opens-nothing" tests/fixtures/.local; then
    echo "✗ a secret was written"
    failed=$((failed + 1))
fi
if [ "$failed" -gt 0 ]; then
    echo "$failed of $count failed"
    exit 1
fi
echo "all $count as they should be"
