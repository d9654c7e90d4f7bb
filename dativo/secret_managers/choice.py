"""Which secret manager a run uses."""

from __future__ import annotations

from dativo.config.environment import Environment
from dativo.config.secrets import SecretManager
from dativo.secret_managers.environment import EnvironmentSecrets


def secret_manager(environment: Environment | None = None) -> SecretManager:
    """The secret manager that the environment asks for: by default the environment itself."""
    return EnvironmentSecrets(environment)
