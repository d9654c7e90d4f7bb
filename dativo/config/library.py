"""The files that jobs share, each read once: documents, recipes, contracts, the registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from dativo.config import paths
from dativo.config.asset import Asset, read_asset
from dativo.config.documents import DocumentError, load
from dativo.config.environment import Environment
from dativo.config.nodes import Node
from dativo.config.odcs import is_native, object_names
from dativo.config.policy import PolicyFile, check_asset
from dativo.config.problems import Problems
from dativo.config.recipe import Recipe, read_recipe
from dativo.config.registry import RegistryFile, read_registry
from dativo.config.secrets import SecretManager, Secrets
from dativo.errors import Problem

T = TypeVar("T")


class Library:
    """Reads what jobs refer to. Who asks again for a file gets the same object, and its mistakes and warnings again.

    `environment` has the variables of recipes, and in `DATIVO_REGISTRY` the registry where a special one is wanted;
    `policy` is held against every contract.
    """

    def __init__(
        self,
        environment: Environment,
        *,
        policy: PolicyFile | None,
        strict_governance: bool,
        manager: SecretManager | None = None,
    ) -> None:
        self.environment = environment
        self.manager = manager
        self._secrets: dict[str, Secrets] = {}
        self.named_registry = environment.get("DATIVO_REGISTRY") or None
        self.policy = PolicyFile() if policy is None and strict_governance else policy
        self.strict = strict_governance or (policy is not None and policy.contract_enforcement == "strict")
        self._read: dict[tuple[Any, ...], tuple[Any, tuple[Problem, ...]]] = {}
        self._found: dict[tuple[str, Path, bool], paths.Found] = {}
        self._real: dict[Path, Path] = {}
        self._roots: dict[Path, Path | None] = {}

    def secrets(self, tenant: str) -> Secrets:
        """The secrets of a tenant; none where no secret manager was given."""
        if self.manager is None or not tenant:
            return Secrets(tenant=tenant)
        if tenant not in self._secrets:
            self._secrets[tenant] = self.manager.fetch(tenant)
        return self._secrets[tenant]

    def find(self, text: str, beside: Path, *, ship: bool = False) -> paths.Found:
        """The file that a configuration names, as `paths.find` gives it."""
        key = (text, beside, ship)
        if key not in self._found:
            self._found[key] = paths.find_below(text, self.root(beside), ship=ship)
        return self._found[key]

    def root(self, beside: Path) -> Path | None:
        """The project that a folder belongs to, as `paths.project_root` gives it."""
        if beside not in self._roots:
            self._roots[beside] = paths.project_root(beside)
        return self._roots[beside]

    def document(self, path: Path, problems: Problems) -> Node | None:
        """The document in a file, or None when it cannot be read."""

        def read(own: Problems) -> Node | None:
            try:
                return load(path, paths.shown(path))
            except DocumentError as error:
                own.extend((error.problem,))
                return None

        return self._once(("document", self.real(path)), read, problems)

    def registry(self, beside: Path, problems: Problems) -> RegistryFile | None:
        """The registry that holds for a job: the named one, the container's, the project's, the one that ships."""
        named = self.named_registry
        found = self.find(named or "/app/registry/connectors.yaml", beside, ship=named is None)
        if found.path is None:
            problems.add(
                f"the registry '{named or 'registry/connectors.yaml'}' does not exist",
                None,
                "DATIVO_REGISTRY" if named else "",
                found.hint(),
            )
            return None
        path = found.path

        def read(own: Problems) -> RegistryFile | None:
            node = self.document(path, own)
            return read_registry(node, own) if node is not None else None

        return self._once(("registry", self.real(path)), read, problems)

    def recipe(self, path: Path, problems: Problems) -> Recipe | None:
        """The connector recipe in a file."""

        def read(own: Problems) -> Recipe | None:
            node = self.document(path, own)
            return read_recipe(node, path.parent.name, self.environment, own) if node is not None else None

        return self._once(("recipe", self.real(path)), read, problems)

    def asset(self, path: Path, object: str | None, tenant: str, problems: Problems) -> Asset | None:
        """The contract in a file; `object` chooses among the objects of a native one."""
        node = self.document(path, problems)
        if node is None:
            return None

        def read(own: Problems) -> Asset | None:
            asset = read_asset(node, own, object=object, tenant=tenant)
            policy = self.policy
            if asset is not None and policy is not None and (self.strict or policy.contract_enforcement != "off"):
                check_asset(policy, asset, own, strict=self.strict)
            return asset

        chosen = object if is_native(node) else None
        return self._once(("asset", self.real(path), chosen, tenant), read, problems)

    def contract(self, path: Path, problems: Problems) -> list[Asset]:
        """Every contract in a file by itself: one, or one for each object of a native contract."""
        node = self.document(path, problems)
        names: list[str | None] = [None]
        if node is not None and is_native(node):
            names = [*object_names(node)] or [None]
        found = [self.asset(path, name, "", problems) for name in names]
        return [asset for asset in found if asset is not None]

    def real(self, path: Path) -> Path:
        """The path without links and `..`: two names of one file are one file."""
        if path not in self._real:
            self._real[path] = path.resolve()
        return self._real[path]

    def _once(self, key: tuple[Any, ...], read: Callable[[Problems], T], problems: Problems) -> T:
        if key not in self._read:
            own = Problems()
            self._read[key] = (read(own), tuple(own.found))
        value, found = self._read[key]
        problems.extend(found)
        return cast(T, value)
