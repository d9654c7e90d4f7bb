"""From a job's file to one frozen ResolvedJob: recipes, contract, registry, variables and defaults all put in.

Every mistake is found here, with file, line and field, before anything is read or written.
"""

from __future__ import annotations

from pathlib import Path

from dativo.config.asset import Asset
from dativo.config.environment import Environment, process_environment
from dativo.config.job_reader import read_job
from dativo.config.library import Library
from dativo.config.nodes import Node
from dativo.config.policy import PolicyFile, read_policy
from dativo.config.problems import Problems
from dativo.config.recipe import Recipe
from dativo.config.registry import RegistryFile
from dativo.config.resolved import MaxRejects, Mode, Relation, ResolvedJob, StreamConfig, Window
from dativo.config.runner import RunnerFile, read_runner
from dativo.config.secrets import SecretManager
from dativo.errors import ConfigError, Mark

__all__ = ["MaxRejects", "Mode", "Relation", "ResolvedJob", "Resolver", "StreamConfig", "Window", "load_job"]


class Resolver:
    """Reads jobs and what they refer to; what several jobs share is read once.

    `problems` collects every mistake and warning of every file read so far.
    """

    def __init__(
        self,
        *,
        environment: Environment | None = None,
        mode: Mode | None = None,
        policy: PolicyFile | None = None,
        strict_governance: bool = False,
        manager: SecretManager | None = None,
    ) -> None:
        self.environment = environment if environment is not None else process_environment()
        self.mode = mode
        self.problems = Problems()
        self.library = Library(self.environment, policy=policy, strict_governance=strict_governance, manager=manager)

    def job(self, path: Path) -> ResolvedJob | None:
        """The job in a file, or None when a mistake kept it from being resolved; mistakes go to `problems`."""
        own = Problems()
        job = read_job(path, self.library, self.environment, self.mode, own)
        self.problems.extend(own.found)
        return job

    def document(self, path: Path) -> Node | None:
        """The document in a file, or None after its problem was noted."""
        return self.library.document(path, self.problems)

    def registry(self, beside: Path) -> RegistryFile | None:
        """The registry that holds for a job in the folder `beside`."""
        return self.library.registry(beside, self.problems)

    def recipe(self, path: Path) -> Recipe | None:
        """The connector recipe in a file."""
        return self.library.recipe(path, self.problems)

    def asset(self, path: Path, object: str | None = None, tenant: str = "") -> Asset | None:
        """The contract in a file; `object` chooses among the objects of a native one.

        Without `object` all of them are read, and the first is given.
        """
        if object is None:
            return next(iter(self.library.contract(path, self.problems)), None)
        return self.library.asset(path, object, tenant, self.problems)

    def runner(self, path: Path) -> RunnerFile | None:
        """The runner's configuration in a file, with its variables put in."""
        node = self.document(path)
        if node is None:
            return None
        runner = read_runner(self.environment.node(node), self.problems)
        for position, schedule in enumerate(runner.orchestrator.schedules or [] if runner else []):
            found = self.library.find(schedule.config, path.parent)
            if found.path is None:
                body = node.get("runner") or node
                mark = body.mark_of("orchestrator", "schedules", position, "config")
                field = f"orchestrator.schedules[{position}].config"
                self.problems.warn(
                    f"the job of schedule '{schedule.name}' is not there: '{schedule.config}'",
                    mark,
                    field,
                    found.hint(),
                )
        return runner

    def policy(self, path: Path) -> PolicyFile | None:
        """The governance policy in a file, with its variables put in."""
        node = self.document(path)
        return read_policy(self.environment.node(node), self.problems) if node is not None else None

    def check_names(self, jobs: list[ResolvedJob]) -> None:
        """Notes jobs of one tenant that have one name: they would share their state."""
        seen: dict[tuple[str, str], ResolvedJob] = {}
        for job in jobs:
            # Case does not tell files apart everywhere, and a job's name names its state file.
            other = seen.setdefault((job.tenant_id.casefold(), job.name.casefold()), job)
            if other is not job and Path(other.path).resolve() != Path(job.path).resolve():
                self.problems.add(
                    f"two jobs of tenant '{job.tenant_id}' have the name '{job.name}'",
                    Mark(job.path),
                    "",
                    f"the other is {other.path}; rename one of the files: a job's name is its file's stem",
                )


def load_job(
    path: str | Path,
    *,
    mode: Mode | None = None,
    environment: Environment | None = None,
    manager: SecretManager | None = None,
) -> ResolvedJob:
    """The job in a file, resolved.

    Raises ConfigError with every mistake found in the job and in all it refers to.
    """
    resolver = Resolver(environment=environment, mode=mode, manager=manager)
    job = resolver.job(Path(path))
    if job is None or resolver.problems.errors():
        raise ConfigError(resolver.problems.found)
    return job
